"""The conversion engine: the registry of rules, the converters that apply them, plugins, refusals."""
