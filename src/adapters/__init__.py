"""Adapters: one module per outside thing; each implements a port from `mlxk.domain.ports`."""
