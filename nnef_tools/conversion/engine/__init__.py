"""The machinery of conversion: the registry of rules, the converters that apply them, plugins, refusals."""
