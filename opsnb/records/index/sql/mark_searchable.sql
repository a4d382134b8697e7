-- Unless the record was read again meanwhile: then its notebook may be another one, too.
UPDATE runs SET searchable = :final WHERE id = :id AND read_ns = :read_ns
