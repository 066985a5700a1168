import builtins, posix, sys
posix.environ.clear()
posix.unsetenv("LC_CTYPE")
builtins.exit = builtins.quit = sys.exit
del sys.argv[0]
sys.path[0] = sys.argv[0].rpartition("/")[0]
__file__ = sys.argv[0]
with open(__file__, "rb") as _:
    _ = compile(_.read(), __file__, "exec")
del builtins, posix, sys
exec(_)
