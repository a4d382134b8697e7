"""JupyterLab on a working copy of the runbooks; what is done in it by hand is recorded too."""
