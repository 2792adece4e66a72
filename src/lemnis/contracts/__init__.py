"""Foundation: the types that cross rooms, the error tree, ids and the clock. Imports no other room."""
