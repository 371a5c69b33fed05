"""The door that Jupyter's own clients open: JupyterLab, VS Code, nbclient. It only translates in and out."""
