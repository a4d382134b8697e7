INSERT INTO findings VALUES (
  :run, :position, :key, :name, :label, :status, :value, :unit, :warn, :crit, :lower_is_worse,
  :message, :at, :counted, :failure, :action, :threshold, :remedies, :evidence
)
