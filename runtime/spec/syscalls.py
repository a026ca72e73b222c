"""The system calls a container may make, grouped by what they are for: the data of the default profile.

An allow-list: what is not named here fails with EPERM. A call is here when a process without privileges can
do no harm to others with it, or when the kernel itself checks the capability that the container may lack.
Left out on purpose: the kernel keyring (keyctl, add_key, request_key: not namespaced), io_uring (a history
of holes), userfaultfd (wins races in the kernel), kexec, swap, page migration and calls of kernels long gone.
Names that an architecture or the runtime's libseccomp lacks are skipped by the runtime.
"""

ALWAYS: dict[str, str] = {
    "files: open and close": """
        open openat openat2 creat close close_range dup dup2 dup3 fcntl fcntl64 flock
        name_to_handle_at memfd_create memfd_secret""",
    "files: read, write, position": """
        read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek
        sendfile sendfile64 splice tee vmsplice copy_file_range readahead
        fadvise64 fadvise64_64 fallocate truncate truncate64 ftruncate ftruncate64
        sync syncfs fsync fdatasync sync_file_range ioctl""",
    "files: names": """
        link linkat symlink symlinkat readlink readlinkat unlink unlinkat rename renameat renameat2
        mkdir mkdirat rmdir mknod mknodat getdents getdents64 getcwd chdir fchdir""",
    "files: metadata": """
        stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx statfs statfs64 fstatfs fstatfs64
        statmount listmount access faccessat faccessat2 chmod fchmod fchmodat fchmodat2 umask
        chown chown32 lchown lchown32 fchown fchown32 fchownat
        utime utimes utimensat utimensat_time64 futimesat
        getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr
        removexattr lremovexattr fremovexattr getxattrat setxattrat listxattrat removexattrat""",
    "files: asynchronous": """
        io_setup io_submit io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64""",
    "files: watching": """
        inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark""",
    "waiting": """
        select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
        eventfd eventfd2 signalfd signalfd4""",
    "pipes and sockets": """
        pipe pipe2 socketpair socketcall bind connect listen accept accept4 shutdown
        getsockname getpeername getsockopt setsockopt
        send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64""",
    "memory": """
        brk mmap mmap2 munmap mremap remap_file_pages mprotect madvise mincore msync mseal cachestat
        mlock mlock2 mlockall munlock munlockall map_shadow_stack pkey_alloc pkey_free pkey_mprotect
        membarrier process_mrelease""",
    "processes": """
        fork vfork execve execveat exit exit_group wait4 waitid waitpid
        getpid getppid gettid set_tid_address getpgid setpgid getpgrp getsid setsid
        prctl seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
        pidfd_open pidfd_send_signal uretprobe restart_syscall rseq
        get_thread_area set_thread_area""",
    "signals": """
        kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend
        rt_sigtimedwait rt_sigtimedwait_time64 pause alarm""",
    "users and capabilities": """
        getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getgroups getgroups32
        getresuid getresuid32 getresgid getresgid32
        setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32
        setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32
        setgroups setgroups32 capget capset""",
    "scheduling and limits": """
        sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam
        sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min
        sched_rr_get_interval sched_rr_get_interval_time64 getpriority setpriority ioprio_get ioprio_set
        getrlimit ugetrlimit setrlimit prlimit64 getrusage times getcpu sysinfo uname getrandom
        riscv_hwprobe""",
    "locks": """
        futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue get_robust_list set_robust_list""",
    "System V and POSIX IPC": """
        ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64
        shmat shmctl shmdt shmget mq_open mq_unlink mq_notify mq_getsetattr
        mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64""",
    "time (setting the clock needs CAP_SYS_TIME, which the kernel checks)": """
        time gettimeofday adjtimex clock_gettime clock_gettime64 clock_getres clock_getres_time64
        clock_nanosleep clock_nanosleep_time64 clock_adjtime clock_adjtime64 nanosleep
        getitimer setitimer timer_create timer_delete timer_getoverrun
        timer_gettime timer_gettime64 timer_settime timer_settime64
        timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64""",
}

SINCE_KERNEL: dict[tuple[int, int], str] = {
    # Before 4.8 a tracer could change the call after seccomp had looked at it.
    (4, 8): "ptrace process_vm_readv process_vm_writev",
}

WITH_CAPABILITY: dict[str, str] = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": """
        mount umount umount2 mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick
        clone clone3 unshare setns sethostname setdomainname quotactl quotactl_fd fanotify_init
        lsm_get_self_attr lsm_set_self_attr lsm_list_modules
        bpf perf_event_open syslog lookup_dcookie""",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "init_module finit_module delete_module",
    "CAP_SYS_NICE": "get_mempolicy set_mempolicy set_mempolicy_home_node mbind",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}

ON_ARCHITECTURE: dict[tuple[str, ...], str] = {
    ("amd64", "x32"): "arch_prctl",
    ("amd64", "x32", "x86"): "modify_ldt",
    ("arm", "arm64"): ("arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"),
    ("ppc64le",): "sync_file_range2 swapcontext",
    ("riscv64",): "riscv_flush_icache",
    ("s390", "s390x"): "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
}

PERSONALITIES: tuple[int, ...] = (
    0x0,  # PER_LINUX
    0x8,  # PER_LINUX32
    0x20000,  # UNAME26
    0x20008,  # both
    0xFFFFFFFF,  # only asks
)

ADDRESS_FAMILIES_DENIED: tuple[int, int] = (38, 40)
"""AF_ALG (the kernel's crypto as attack surface, CVE-2026-31431) and AF_VSOCK (reaches the hypervisor)."""

NEW_NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: not without CAP_SYS_ADMIN."""

ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "amd64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "arm64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "loong64": ("SCMP_ARCH_LOONGARCH64",),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
}
"""An architecture and those whose programs its kernel runs as well, by the runtime's names."""

NATIVE: dict[str, str] = {
    "x86": "SCMP_ARCH_X86",
    "amd64": "SCMP_ARCH_X86_64",
    "arm": "SCMP_ARCH_ARM",
    "arm64": "SCMP_ARCH_AARCH64",
    "loong64": "SCMP_ARCH_LOONGARCH64",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "riscv64": "SCMP_ARCH_RISCV64",
    "s390x": "SCMP_ARCH_S390X",
}
"""How profiles name an architecture, and how the runtime does."""
