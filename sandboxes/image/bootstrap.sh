#!/bin/sh
# The recipe for a machine that no image registry answers: writes the image's root file
# system to stdout as a tar archive. Debian's package mirrors are all that it needs.
set -eu
here=$(dirname "$0")
packages=$(sed -e 's/#.*//' "$here/packages.txt" | tr -s '\n ' ',' | sed -e 's/^,//' -e 's/,$//')

exec mmdebstrap \
  --variant=minbase \
  --format=tar \
  --include="$packages" \
  --aptopt='Acquire::Retries "3"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-include=/usr/share/locale/en*' \
  --customize-hook="copy-in $here/setup.sh /tmp" \
  --customize-hook='chroot "$1" sh /tmp/setup.sh' \
  bookworm -
