#!/bin/sh
# The last step of both recipes: runs inside the new root file system, as its root.
set -eu

# Where the tmpfs of a box are mounted, besides those folders that every system has.
groupadd --gid 1000 sandbox
useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash sandbox
install -d -o sandbox -g sandbox -m 0755 /workspace /skills

ln -sf /usr/bin/fdfind /usr/local/bin/fd

# The root of a box is read-only, so pip cannot break the system's Python: it installs to the
# user's folder, and Debian's guard against that would only stand in the way.
rm -f /usr/lib/python3*/EXTERNALLY-MANAGED

# The home of a box is a fresh tmpfs without a skeleton: what every shell needs lives in /etc.
cat >/etc/bash.bashrc <<'BASHRC'
[ -n "${PS1-}" ] || return
shopt -s checkwinsize histappend
PS1='\[\e[1;32m\]\h\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ '
alias ls='ls --color=auto' grep='grep --color=auto' ll='ls -l'
BASHRC
git config --system init.defaultBranch main
git config --system user.name sandbox
git config --system user.email sandbox@localhost
git config --system --add safe.directory '*'

# Nothing may gain rights in a box. The kernel refuses it; the image does not even try.
find / -xdev -type f -perm /6000 -exec chmod ug-s {} +

rm -rf /usr/share/doc /usr/share/man /usr/share/info /usr/share/lintian /usr/share/bug
find /usr/share/locale -mindepth 1 -maxdepth 1 ! -name 'C*' ! -name 'en*' -exec rm -rf {} +
rm -rf /var/cache/apt /var/lib/apt/lists /var/cache/debconf/*-old /var/log/*.log /var/log/apt
rm -rf /root/.cache /tmp/* /var/tmp/*
install -d /var/cache/apt/archives/partial /var/lib/apt/lists/partial
