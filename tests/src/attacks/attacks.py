"""Each attack is a function; it returns when the forbidden thing was done and raises when it was not."""
import json
import os
import sys

request = json.loads(sys.stdin.readline())["request"]
words = dict(word.split("=", 1) for word in request["payload"]["content"].split())
scratch, victim = words.get("scratch", ""), words.get("victim", "")


def harmless():
    pass


def read_host_file():
    open("/etc/passwd").read()


def read_victim():
    open(victim).read()


def write_victim():
    open(victim, "w").write("changed")


def create_file():
    open(scratch + "/new", "x").close()


def create_in_working_folder():
    open("made-here", "w").close()


def make_folder():
    os.mkdir(scratch + "/new")


def make_link():
    os.link(victim, scratch + "/new")


def make_symlink():
    os.symlink("/etc/passwd", scratch + "/new")


def rename_victim():
    os.rename(victim, scratch + "/new")


def remove_victim():
    os.remove(victim)


def truncate_victim():
    os.truncate(victim, 0)


def change_mode():
    os.chmod(victim, 0o600)


def change_owner():
    os.chown(victim, 12345, -1)


def list_folder():
    os.listdir(scratch)


def list_home():
    os.listdir(words["home"])


def look_at_victim():
    os.stat(victim)


def read_own_environment_file():
    open("/proc/self/environ", "rb").read()


def read_parent_environment():
    open(f"/proc/{words['parent']}/environ", "rb").read()


def read_environment():
    # Python itself sets a variable in a C locale; what counts is what came from outside.
    inherited = {name for name in os.environ if name not in ("LC_CTYPE", "__CF_USER_TEXT_ENCODING")}
    assert inherited


def write_own_script():
    open(os.path.abspath(__file__), "a").write("\n")


def tcp_connect():
    import socket

    socket.create_connection(("127.0.0.1", int(words["tcp"])))


def udp_send():
    import socket

    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(words["udp"])))


def tcp_listen():
    import socket

    socket.create_server(("127.0.0.1", 0))


def path_socket():
    import socket

    socket.socket(socket.AF_UNIX).connect(words["unix"])


def abstract_socket():
    import socket

    socket.socket(socket.AF_UNIX).connect("\0" + words["abstract"])


def run_command():
    import subprocess

    subprocess.run(["/bin/true"], check=True)


def run_shell():
    assert os.system("exit 0") == 0


def run_self():
    import subprocess

    subprocess.run([sys.executable, "-c", "pass"], check=True)


def kill_sibling():
    os.kill(int(words["sibling"]), 9)


def signal_parent():
    os.kill(int(words["parent"]), 0)


def slow_sibling():
    os.setpriority(os.PRIO_PROCESS, int(words["sibling"]), 10)


def inherited_descriptor():
    for descriptor in range(3, 1024):
        try:
            # What Python itself has open is not inheritable.
            if os.get_inheritable(descriptor):
                return
        except OSError:
            pass
    raise OSError(9, "none")


def fork_process():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def pool_of_processes():
    import multiprocessing

    worker = multiprocessing.get_context("fork").Process(target=harmless)
    worker.start()
    worker.join()
    assert worker.exitcode == 0


def exec_shell():
    os.execv("/bin/sh", ["sh", "-c", "printf '%s\\n' \"$0\"", said(True, 0)])


def memory_file():
    os.close(os.memfd_create("attack"))


def shared_memory():
    from multiprocessing import shared_memory

    block = shared_memory.SharedMemory(create=True, size=4096)
    block.close()
    block.unlink()


def map_shared():
    import mmap

    mmap.mmap(-1, 4096)[0] = 1


def raw_fork():
    import ctypes

    pid = ctypes.CDLL(None, use_errno=True).syscall(57)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "fork")
    os.waitpid(pid, 0)


def limit_sibling():
    import resource

    resource.prlimit(int(words["sibling"]), resource.RLIMIT_NOFILE, (16, 16))


def become_root():
    os.setuid(0)


def said(done, error):
    data = {"done": done, "errno": error}
    result = {"kind": "json", "schema_ref": "any/1", "data": data}
    response = {"request_id": request["request_id"], "status": "ok", "result": result, "notes": ""}
    return json.dumps({"type": "result", "response": response})


try:
    globals()[words["attack"]]()
    print(said(True, 0), flush=True)
except Exception as failure:
    print(said(False, getattr(failure, "errno", None) or 1), flush=True)
    print(repr(failure), file=sys.stderr)
# Python's own clean-up is no part of the attack.
os._exit(0)
