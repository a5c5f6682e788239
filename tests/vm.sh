# What tests/vrf-vm and tests/systemd-vm share: an emulated machine (TCG, so no KVM) with Debian's cloud kernel. To be sourced, at
# the root of the repository. Nothing is left on the machine outside but Debian packages.

failed() {
    echo "FAILED: $*"
    exit 1
}
[ "$(uname -m)" = x86_64 ] || failed "the machine inside runs what is built here, and is an amd64"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
image=$work/image
mkdir "$image"

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs what is missing, from lines of a command and the package that has it.
tools() {
    local command package missing=()
    while read -r command package; do
        command -v "$command" >/dev/null || missing+=("$package")
    done
    as_root apt-get update -qq
    if [ "${#missing[@]}" -gt 0 ]; then
        echo "installing ${missing[*]}"
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    fi
}

# Unpacks the kernel, and puts these of its modules into the image, in the order in which they need each other.
kernel() {
    echo "== the kernel"
    local package module number=10
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2 }') || true
    [ -n "$package" ] || failed "there is no package linux-image-cloud-amd64: is this Debian?"
    # apt's own user has no way into a private folder.
    (cd "$work" && apt-get -o APT::Sandbox::User=root download -qq "$package" && dpkg-deb -x "$package"_*.deb kernel)
    mkdir -p "$image/modules" "$image/bin"
    for module in "$@"; do
        install -m 644 "$work"/kernel/lib/modules/*/kernel/"$module".ko* "$image/modules/$number-${module##*/}.ko"
        number=$((number + 1))
    done
    cp "$(command -v busybox)" "$image/bin/busybox"
}

# Where cargo has put what it built under that name; its messages stand in $work/built.
artifact() {
    python3 -c '
import json, sys
for line in open(sys.argv[1]):
    target = json.loads(line)
    if target.get("executable") and target["target"]["name"] == sys.argv[2]:
        print(target["executable"])' "$work/built" "$1" | tail -n 1
}

# Runs the image for at most so many seconds, with so many MiB and these options of its kernel; what it says is in $work/output.
machine() {
    echo "== the machine"
    (cd "$image" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"
    timeout --foreground --kill-after=5 "$1" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m "$2" \
        -nodefaults -no-user-config -display none -serial stdio -no-reboot -kernel "$work"/kernel/boot/vmlinuz-* \
        -initrd "$work/initramfs" -append "console=ttyS0 quiet panic=-1 $3" </dev/null |
        tr -d '\r' | tee "$work/output" || failed "the virtual machine did not come to its end"
}
