"""Choose plans: what plan files and objectives say, and the one plan of each bucket that an objective asks for."""
