-- A relation and, when it is partitioned, all of its partitions. Locks each for a moment.
\set relation 1259
SELECT :'relation'::bigint AS oid
UNION
SELECT relid::oid::bigint FROM pg_partition_tree(:'relation'::oid::regclass);
