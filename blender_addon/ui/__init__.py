"""Panels: they only draw."""
