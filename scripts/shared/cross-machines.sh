# shellcheck shell=sh
# Sourced by the scripts that build for other machines. It lists the machines and brings a C
# compiler and Rust for each, which debian-packages.sh unpacks below build/cross. The current
# directory must be the checkout.

cross=$PWD/build/cross
packages=$cross/packages
mkdir -p "$packages"
. scripts/shared/debian-packages.sh
require_debian
unset RUSTC RUSTFLAGS CARGO_BUILD_TARGET MAKEFLAGS MFLAGS CFLAGS LDFLAGS TARGET CC

# One machine on each line: Rust's name of it, its compiler's prefix, and the architectures of its C
# library and of its libaio in Debian ("-": there is none).
machines() {
	cat <<-'EOF'
		x86_64-unknown-linux-gnu         x86_64-linux-gnu         amd64    amd64
		x86_64-unknown-linux-gnux32      x86_64-linux-gnux32      x32      -
		i686-unknown-linux-gnu           i686-linux-gnu           i386     i386
		aarch64-unknown-linux-gnu        aarch64-linux-gnu        arm64    arm64
		armv7-unknown-linux-gnueabihf    arm-linux-gnueabihf      armhf    armhf
		riscv64gc-unknown-linux-gnu      riscv64-linux-gnu        riscv64  -
		powerpc64le-unknown-linux-gnu    powerpc64le-linux-gnu    ppc64el  ppc64el
		powerpc-unknown-linux-gnu        powerpc-linux-gnu        powerpc  -
		s390x-unknown-linux-gnu          s390x-linux-gnu          s390x    s390x
		mips64el-unknown-linux-gnuabi64  mips64el-linux-gnuabi64  mips64el mips64el
		sparc64-unknown-linux-gnu        sparc64-linux-gnu        sparc64  -
		loongarch64-unknown-linux-gnu    loongarch64-linux-gnu    loong64  loong64
	EOF
}

# Prints the file of the library with the code for the CPU of $target.
cpu_file() {
	cpu=$(rustc --print cfg --target "$target" | sed -n 's/^target_arch=//p')
	echo "src/sys/arch/$(sed -n "s/^ .*$cpu.* => \(.*\);/\1/p" src/sys/arch/mod.rs).rs"
}

# Debian's newest Rust, and the source of its core library.
bring_rust() {
	bring_programs "$cross/rust" rustc-web cargo-web rust-web-src
	PATH=$cross/bin:$cross/rust/usr/bin:$PATH
	LD_LIBRARY_PATH=$cross/rust/usr/lib/x86_64-linux-gnu:$cross/rust/lib/x86_64-linux-gnu
	# Exported for the programs that cargo and rustc start.
	export PATH LD_LIBRARY_PATH
}

# One version of Debian's newer packages, in $cross/rust-VERSION.
bring_web_rust() {
	bring_programs "$cross/rust-$1" "rustc-web=$1.*" "cargo-web=$1.*" "libstd-rust-web-dev=$1.*" \
		"libstd-rust-web-$1=$1.*"
}

# The oldest Rust that Cargo.toml allows. It is in Debian 11.
bring_oldest_rust() {
	from_release bullseye bring_web_rust "$1"
}

# bring_machine TARGET: brings everything that a build for the machine needs. Sets target, compiler
# (the prefix of its name), libc and debian.
bring_machine() {
	target=$1
	# shellcheck disable=SC2046 # four words
	set -- $(machines | grep "^$target ")
	compiler=$2 libc=$3 debian=$4
	bring_compiler
	bring_core
	if [ "$debian" = loong64 ]; then # Debian 12 does not have it
		from_release sid bring_foreign loong64 "$cross/libaio/loong64" libaio1t64 libaio-dev
		# The tests look for the name that it has on other machines.
		ln -sf libaio.so.1t64 "$cross/libaio/loong64/usr/lib/$compiler/libaio.so.1"
		return
	fi
	bring_foreign "$(if [ "$debian" = - ]; then echo amd64; else echo "$debian"; fi)" \
		"$cross/libaio/$debian" libaio1 libaio-dev
}

# $compiler-gcc and the other tools, in $cross/bin.
bring_compiler() {
	[ "$libc" != amd64 ] || return 0 # the system's own
	root=$cross/gcc/$libc
	if [ "$libc" = loong64 ]; then
		bring_clang
		return
	fi
	bring_programs "$root" "g++-$(echo "$compiler" | tr _ -)" "libc6-dev-$libc-cross"
	mkdir -p "$cross/bin"
	for tool in gcc g++ ar objcopy; do
		case $tool in g*) sysroot="--sysroot='$root'" ;; *) sysroot= ;; esac
		cat > "$cross/bin/$compiler-$tool" <<-EOF
			#!/bin/sh
			LD_LIBRARY_PATH='$root/usr/lib/x86_64-linux-gnu'
			export LD_LIBRARY_PATH
			exec '$root/usr/bin/$compiler-$tool' $sysroot "\$@"
		EOF
		chmod +x "$cross/bin/$compiler-$tool"
	done
}

# The same for a machine for which Debian 12 has no GCC: Debian 12's Clang, with the C library and
# the linker of Debian 13. Clang's own linker, lld 19, cannot be used: it writes wrong addresses of
# functions that are chosen at run time into static programs.
bring_clang() {
	clang=$cross/clang binutils=$cross/binutils/$libc
	bring_programs "$clang" clang-19
	from_release trixie bring_programs "$binutils" "binutils-$(echo "$compiler" | tr _ -)"
	from_release trixie bring_foreign amd64 "$root" "libc6-$libc-cross" "libc6-dev-$libc-cross" \
		"linux-libc-dev-$libc-cross" "libgcc-s1-$libc-cross" "libgcc-14-dev-$libc-cross" \
		"libstdc++6-$libc-cross" "libstdc++-14-dev-$libc-cross"
	mkdir -p "$cross/bin"
	for tool in gcc=clang g++=clang++; do
		cat > "$cross/bin/$compiler-${tool%=*}" <<-EOF
			#!/bin/sh
			LD_LIBRARY_PATH='$clang/usr/lib/x86_64-linux-gnu'
			export LD_LIBRARY_PATH
			exec '$clang/usr/lib/llvm-19/bin/${tool#*=}' --target=$compiler --sysroot='$root' \
				--ld-path='$cross/bin/$compiler-ld' "\$@"
		EOF
		chmod +x "$cross/bin/$compiler-${tool%=*}"
	done
	for tool in ld ar objcopy; do
		run_newer "$binutils" "$compiler-$tool" "$cross/bin/$compiler-$tool"
	done
}

# run_newer DIRECTORY PROGRAM SCRIPT: writes a script that runs a program of a newer Debian with
# that Debian's C library.
run_newer() {
	cat > "$3" <<-EOF
		#!/bin/sh
		libraries='$1/usr/lib/x86_64-linux-gnu'
		exec "\$libraries/ld-linux-x86-64.so.2" \
			--library-path "\$libraries:\$libraries/pulseaudio" '$1/usr/bin/$2' "\$@"
	EOF
	chmod +x "$3"
}

# The core library for the machine, compiled here from Debian's source: Debian has compiled ones for
# its own architectures only, and in the newest version not for all of them.
bring_core() {
	lib=$cross/rust/usr/lib/rustlib/$target/lib
	[ -z "$(find "$lib" -name 'libcompiler_builtins*.rlib' 2> /dev/null)" ] || return 0
	source=$(echo "$cross"/rust/usr/src/rustc-*/library)
	echo "compiling Rust's core library for $target"
	mkdir -p "$lib"
	compile_core core "$source/core/src/lib.rs"
	compile_core compiler_builtins "$source/compiler-builtins/compiler-builtins/src/lib.rs" \
		--cfg 'feature="compiler-builtins"'
}

# Rust's own libraries use unstable features of the compiler of the same version.
compile_core() {
	crate=$1 file=$2
	shift 2
	RUSTC_BOOTSTRAP=1 rustc --edition 2024 --crate-name "$crate" --crate-type rlib \
		--target "$target" -O -C panic=abort --cap-lints allow --out-dir "$lib" "$@" "$file"
}

# Builds the library in build/$target, as a packager would.
build_library() {
	mkdir -p "build/$target"
	make --no-print-directory "TARGET=$target" CARGO=cargo "CC=$compiler-gcc" \
		"AR=$compiler-ar" "OBJCOPY=$compiler-objcopy" \
		> "build/$target/log" 2>&1 || { cat "build/$target/log" >&2; return 1; }
}
