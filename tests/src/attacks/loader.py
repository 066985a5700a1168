import ctypes
import os

ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "attacks.so"))
