// Shows what the server has to tell about records as notifications. This is a prebuilt extension
// of JupyterLab, written by hand: it is loaded as a container of modules under the package's name.
const LONGEST = 140; // JupyterLab cuts off what is longer
const READ = "opsnb:read";

const notify = (app, { message, type }) => {
  const read = { label: "Read all", commandId: READ, args: { message } };
  app.commands.execute("apputils:notify", {
    message,
    type,
    options: {
      autoClose: type === "info" ? 8000 : false,
      actions: message.length > LONGEST ? [read] : [],
    },
  });
};

const plugin = {
  id: "opsnb:notices",
  autoStart: true,
  activate: (app) => {
    app.commands.addCommand(READ, { execute: ({ message }) => window.alert(message) });
    app.serviceManager.events.stream.connect((_, event) => {
      if (event.schema_id === "urn:opsnb:notice") {
        notify(app, event);
      }
    });
  },
};

(window._JUPYTERLAB ??= {}).opsnb = {
  init: () => {},
  get: async () => () => ({ __esModule: true, default: plugin }),
};
