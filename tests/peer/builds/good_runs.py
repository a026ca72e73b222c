"""Dockerfiles that are about RUN."""

from tests.peer.builds.case import BUILDKIT, CLASSIC, Case

CASES = [
    Case(
        name="run-forms",
        dockerfile="""FROM busybox
RUN echo "$HOME" '$HOME' \\$HOME > /shell
RUN ["/bin/sh", "-c", "echo $0 $HOME > /exec"]
RUN ["touch", "/a b", "/$HOME"]
RUN echo a; \\
    echo b; \\
    echo c > /several
""",
    ),
    Case(
        name="run-nothing",
        dockerfile="FROM busybox\nRUN true\nRUN touch /x && rm /x\nRUN mkdir /tmp/y && rmdir /tmp/y\n",
    ),
    Case(
        name="run-changes",
        dockerfile="""FROM busybox
RUN rm /bin/vi && rm -r /root && mkdir /root && echo x > /root/x && chmod 700 /var
RUN mkdir -p /a/b && ln -s x /a/link && mknod /a/null c 1 3 && mkfifo /a/fifo && echo f > /a/file && \\
    ln /a/file /a/hard
RUN mv /a /moved && chown 1:2 /moved/file && chmod 4755 /moved/hard && touch -d '2001-02-03 04:05:06' /moved/file
RUN rm -r /moved/b && echo b > /moved/b && rm /moved/link && mkdir /moved/link && \\
    dd if=/dev/zero of=/big bs=1k count=600
RUN ln /bin/busybox /hard-to-lower && echo >> /etc/passwd && chmod +t /home && rm -rf /tmp && touch "/é ü"
""",
    ),
    Case(
        name="run-user",
        dockerfile="""FROM busybox
RUN echo someone:x:1234:1234::/tmp/home:/bin/sh >> /etc/passwd; mkdir -m 777 /tmp/home
USER someone
RUN id > /tmp/id; echo $HOME $(pwd) >> /tmp/id; touch ~/mine; umask >> /tmp/id
USER 77
RUN id > /tmp/id2
USER daemon:staff
RUN id > /tmp/id3; echo $HOME >> /tmp/id3
USER 5:6
RUN id > /tmp/id4
WORKDIR /var/tmp
RUN pwd > pwd
""",
    ),
    Case(
        name="run-sandbox",
        dockerfile="""FROM busybox
RUN grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status > /caps
RUN ls /dev > /devices; ls -ld /dev/shm /dev/pts | awk '{print $1, $3, $4}' >> /devices
RUN cat /proc/sys/kernel/hostname | wc -c > /hostname; ulimit -c >> /ulimit; cat /proc/self/oom_score_adj > /oom
RUN (touch /proc/sys/kernel/x; touch /sys/x; mount -t tmpfs x /mnt) 2>/dev/null; echo $? > /denied
RUN cat /proc/1/comm > /init; tty > /tty; true
""",
        builders=(BUILDKIT,),
    ),
    Case(
        name="run-network-none",
        dockerfile="FROM busybox\nRUN --network=none ls /sys/class/net > /net\nRUN --network=default true\n",
        builders=(BUILDKIT,),
    ),
    Case(
        name="network-none",
        dockerfile="FROM busybox\nRUN ls /sys/class/net > /net\n",
        options=["--network", "none"],
    ),
    Case(
        name="run-options",
        dockerfile="""FROM busybox
RUN ulimit -n > /files; df -k /dev/shm | awk 'NR==2 {print $2}' > /shm
RUN grep extra /etc/hosts > /hosts
""",
        options=["--ulimit", "nofile=123:456", "--shm-size", "32m", "--add-host", "extra:1.2.3.4"],
    ),
    Case(
        name="heredocs",
        dockerfile="""FROM busybox
ARG WHO=world
RUN <<EOF
echo hello $WHO > /one
echo more >> /one
EOF
RUN <<-"EOF"
\t\techo 'tabs' > /two
\tEOF
RUN cat <<A > /three && cat <<'B' >> /three
a $WHO
A
b $WHO
B
RUN <<EOF
#!/bin/cat
shebang
EOF
RUN sh -ex <<EOF
echo piped > /four
EOF
""",
        builders=(BUILDKIT,),
    ),
    Case(
        name="mounts",
        dockerfile="""FROM busybox AS other
RUN mkdir -p /data/sub && echo other > /data/sub/file
FROM busybox
ENV TARGET=/mnt/env
WORKDIR /work
RUN --mount=target=/mnt/context cp /mnt/context/file /context && ls /mnt/context > /listed
RUN --mount=type=bind,from=other,source=/data,target=rel cp rel/sub/file from; \\
    touch rel/x 2>/dev/null; echo $? > /readonly
RUN --mount=type=bind,from=other,source=/data/sub/file,target=/one,rw echo changed > /one && cat /one > /written
RUN --mount=type=tmpfs,target=/scratch,size=1m df -k /scratch | awk 'NR==2 {print $2}' > /tmpfs
RUN --mount=type=cache,target=/cache,mode=0700,uid=3,gid=4 echo kept > /cache/x; \\
    ls -ldn /cache | awk '{print $1, $3, $4}' > /cached
RUN --mount=type=cache,target=/cache,ro cat /cache/x > /again; touch /cache/y 2>/dev/null; echo $? >> /again
RUN --mount=type=cache,target=/cache,id=another,from=other,source=/data ls -R /cache > /seeded
RUN --mount=type=secret,id=token cat /run/secrets/token > /told; \\
    ls -ln /run/secrets/token | awk '{print $1, $3, $4}' >> /told
RUN --mount=type=secret,id=token,target=/etc/token,mode=0444,uid=5,gid=6 \\
    ls -ln /etc/token | awk '{print $1, $3, $4}' > /secret-mode
RUN --mount=type=secret,id=absent ls /run/secrets > /absent 2>&1; true
RUN --mount=type=bind,target=$TARGET ls $TARGET > /by-variable
RUN ls / > /left
""",
        files={"file": "of the context\n", "sub/deep": "x"},
        options=["--secret", "id=token,src={secrets}/token"],
        secret={"token": "very secret"},
        builders=(BUILDKIT,),
    ),
    Case(
        name="mount-of-image",
        dockerfile="""FROM scratch
COPY --from=busybox /bin /bin
RUN --mount=from=busybox,target=/m ["/bin/sh", "-c", "ls /m > /seen"]
""",
        builders=(BUILDKIT,),
    ),
    Case(
        name="args-in-history",
        dockerfile="""FROM busybox
ARG B=2
ARG A
ARG EMPTY=
RUN echo $A $B > /x
RUN ["true"]
ENV A=env
RUN true $A
""",
        options=["--build-arg", "A=1 x"],
    ),
    Case(
        name="proxies-classic",
        dockerfile="""FROM busybox
RUN env | grep -i _proxy | sort > /told
ARG HTTP_PROXY
ENV no_proxy=own
RUN env | grep -i _proxy | sort > /declared
""",
        options=["--build-arg", "HTTP_PROXY=http://proxy", "--build-arg", "no_proxy=told"],
        builders=(CLASSIC,),
    ),
    Case(
        name="stages",
        dockerfile="""FROM busybox AS one
RUN echo 1 > /1
FROM busybox AS unused
RUN false
FROM one AS two
RUN echo 2 > /2
FROM scratch
COPY --from=one /1 /a/
COPY --from=two /2 /1 /b/
COPY --from=0 /1 /c
""",
        builders=(BUILDKIT,),
    ),
]
