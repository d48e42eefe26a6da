"""Where softgrad meets a framework's own differentiation: one file a framework, loaded on need."""
