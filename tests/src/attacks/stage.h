// What every attack stands on: arguments from the request's text, and one way to say what came of it.
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>

// The value behind `name=` in the request's text; words are separated by blanks.
static const char *argument(const char *name) {
    static char values[8][512];
    static int turn;
    char *value = values[turn++ % 8];
    char key[64];
    snprintf(key, sizeof key, " %s=", name);
    const char *at = strstr(line, key);
    value[0] = 0;
    if (at) sscanf(at + strlen(key), "%511[^ \"]", value);
    return value;
}

static long number(const char *name) { return atol(argument(name)); }

// A path inside the scratch folder.
static const char *scratch(const char *name) {
    static char paths[4][1024];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", argument("scratch"), name);
    return path;
}

// An attack gives 0 when the forbidden thing was done, else the error number.
#define ATTACK(name) static int name(void)

static int did(long result) { return result < 0 ? (errno ? errno : EIO) : 0; }

// Closes a descriptor that should not have been had.
static int got(long fd) {
    if (fd < 0) return errno ? errno : EIO;
    close((int)fd);
    return 0;
}
