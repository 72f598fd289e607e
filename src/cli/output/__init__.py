"""How results look: human tables and the JSON envelope."""
