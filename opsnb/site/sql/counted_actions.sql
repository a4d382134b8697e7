SELECT count(*) AS actions FROM actions WHERE begun
