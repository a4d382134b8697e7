INSERT INTO actions VALUES (
  :run, :position, :name, :title, :state, :begun, :planned, :applied, :verified, :unit, :undo,
  :command, :arguments, :at, :finished, :sentence
)
