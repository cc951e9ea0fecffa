"""The report in a terminal, by rich: text, tables, and pictures of characters."""
