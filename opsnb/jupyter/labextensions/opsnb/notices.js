// Shows what the server has to tell about records as notifications. This is a prebuilt extension
// of JupyterLab, written by hand: it is loaded as a container of modules under the package's name.
const plugin = {
  id: "opsnb:notices",
  autoStart: true,
  activate: (app) => {
    app.serviceManager.events.stream.connect((_, event) => {
      if (event.schema_id === "urn:opsnb:notice") {
        app.commands.execute("apputils:notify", {
          message: event.message,
          type: event.type,
          options: { autoClose: event.type === "info" ? 8000 : false },
        });
      }
    });
  },
};

(window._JUPYTERLAB ??= {}).opsnb = {
  init: () => {},
  get: async () => () => ({ __esModule: true, default: plugin }),
};
