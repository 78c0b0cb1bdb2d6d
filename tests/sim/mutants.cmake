# The defences that the simulator must miss: name, source, histories within which it must fail, text, replacement.
