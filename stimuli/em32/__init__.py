"""Model of the microphone that EigenScape was recorded with."""
