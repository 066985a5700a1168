//! The paths that start-up code looks at, and that an empty machine does not have.

/// Paths that start-up code of C libraries, Go and allocators looks at in any program. They are answered with "no such file".
const BENIGN_PREFIXES: &[(&str, &str)] = &[
    ("/proc/self/", "own name, maps and limits"),
    ("/proc/sys/", "overcommit and limits, read by allocators"),
    ("/proc/meminfo", "size of memory"),
    ("/proc/cpuinfo", "number of processors"),
    ("/proc/stat", "number of processors"),
    ("/proc/version", "the kernel's, read by bun's start-up"),
    ("/sys/devices/system/cpu/", "number of processors"),
    ("/sys/devices/system/node/", "memory nodes"),
    ("/sys/fs/cgroup/", "limits of a container"),
    (
        "/sys/kernel/mm/transparent_hugepage/",
        "page size, read by Go's start-up",
    ),
    ("/etc/localtime", "time zone"),
    ("/etc/timezone", "time zone"),
    ("/etc/zoneinfo", "time zone, as Go looks for it"),
    ("/usr/share/zoneinfo", "time zone"),
    ("/usr/lib/zoneinfo", "time zone, as Go looks for it"),
    ("/usr/share/lib/zoneinfo", "time zone, as Go looks for it"),
    ("/usr/share/locale/", "names of locales and translations"),
    ("/usr/share/locale-langpack/", "translations"),
    ("/usr/lib/gconv/", "character sets"),
    ("/usr/lib64/gconv/", "character sets"),
    ("/usr/lib/x86_64-linux-gnu/gconv/", "character sets"),
    ("/etc/mime.types", "kinds of files"),
    (
        "/etc/apache/mime.types",
        "kinds of files, as Go looks for them",
    ),
    (
        "/etc/apache2/mime.types",
        "kinds of files, as Go looks for them",
    ),
    (
        "/etc/httpd/conf/mime.types",
        "kinds of files, as Go looks for them",
    ),
    ("/usr/share/mime/", "kinds of files"),
    ("/usr/local/share/mime/", "kinds of files"),
    ("/etc/ld.so.", "places of libraries"),
    (
        "/etc/ssl/openssl.cnf",
        "settings of OpenSSL, when it is loaded",
    ),
    ("/usr/lib/ssl/openssl.cnf", "settings of OpenSSL"),
    ("/usr/local/ssl/openssl.cnf", "settings of OpenSSL"),
    ("/etc/pki/tls/openssl.cnf", "settings of OpenSSL"),
    ("/etc/malloc.conf", "options of jemalloc"),
    ("/usr/lib/locale/", "locale"),
];

/// Whether a path is a benign probe. Probes are spelled plainly; a path with `..` in it is none.
pub(super) fn is_benign(path: &str) -> bool {
    !path.contains("..")
        && BENIGN_PREFIXES
            .iter()
            .any(|(prefix, _)| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_known_and_disguises_are_not() {
        assert!(is_benign(
            "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
        ));
        assert!(is_benign("/etc/ld.so.cache"));
        assert!(!is_benign("/etc/passwd"));
        assert!(!is_benign("/proc/self/../1/environ"));
        assert!(!is_benign("/proc/1/environ"));
    }
}
