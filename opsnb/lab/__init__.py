"""JupyterLab on working copies of the runbooks; manual runs are recorded too."""
