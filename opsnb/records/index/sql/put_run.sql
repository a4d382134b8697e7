-- A record that changed keeps its id.
INSERT OR REPLACE INTO runs VALUES (
  (SELECT id FROM runs WHERE run_id = :run_id),
  :run_id, :runbook, :title, :target, :status, :outcome, :exit_code, :open, :ended, :started,
  :finished, :seconds, :trigger, :operator, :host, :incident, :scheduled, :parent, :fleet,
  :is_summary, :acted, :error, :sentence, :next, :details, :parameters, :kept_late, :revision,
  :source_sha256, :sealed_sha256, 0, :size, :mtime_ns, :inode, :read_ns
)
