"""Tables of studies whose models say of several findings whether a radiograph shows each."""
