# libaio-rs. `make help` lists the targets, docs/variables.md the variables.
#
# $(CC) links the installed library from one object file that rustc compiles. So the library does
# not depend on the linker that rustc is configured to use, and contains only our code.

prefix      ?= /usr/local
exec_prefix ?= $(prefix)
libdir      ?= $(exec_prefix)/lib
includedir  ?= $(prefix)/include
mandir      ?= $(prefix)/share/man
DESTDIR     ?=

CC      ?= cc
CARGO   ?= cargo
INSTALL ?= install
# To build for another machine, give its Rust name and its C compiler:
# make TARGET=aarch64-unknown-linux-gnu CC=aarch64-linux-gnu-gcc
TARGET  ?=
OBJCOPY ?= $(shell $(CC) -print-prog-name=objcopy)

soname  = libaio.so.1
library = $(soname).0.2
B       = build$(if $(TARGET),/$(TARGET))

##@ Build and install
all: $(B)/$(library) $(B)/libaio.a ## build libaio.so.1 and libaio.a in build/ (the default)

# Only the object file is used, so the crate type is one without a link step. --emit says where the
# object goes; cargo runs rustc in this directory. Build scripts are compiled once for all machines.
cargo_object = $(unstable) $(pin_flags) $(CARGO) rustc --release --locked --lib --crate-type lib \
	--target-dir build/cargo $(if $(TARGET),--target $(TARGET)) --no-default-features $(pin_profile)
# Debug information (CARGO_PROFILE_RELEASE_DEBUG=2) names the directory in which debug packages put
# sources. Otherwise it would name this directory, and differ from build to build.
rustc_object = $(for_machine) --remap-path-prefix='$(CURDIR)=$(sources_at)' --emit=obj=$@
# Distributions set options for all crates through CARGO_PROFILE_RELEASE_*, RUSTFLAGS or cargo's
# configuration. These few are fixed, because the result must be one object file of machine code
# that cannot panic. All other options keep the distribution's values.
profile = lto="off" codegen-units=1 opt-level=3 debug-assertions=false overflow-checks=false \
	panic="abort" split-debuginfo="off"
pin_profile = $(foreach setting,$(profile),--config 'profile.release.$(setting)')
# Unwind tables let a C++ exception or a thread's cancellation pass through io_queue_run.
flags = $(subst ",,$(profile)) linker-plugin-lto=no relocation-model=pic force-unwind-tables=yes
# The wrapper is given by name, not by path, because cargo hashes its path into symbol names.
pin_flags = CARGO_INCREMENTAL=0 RUSTC_WORKSPACE_WRAPPER=rustc-pinned.sh \
	PATH='$(CURDIR)/scripts/build':"$$PATH" PINNED='$(addprefix -C,$(flags))'
# On AArch64, outline atomics, which choose their instructions at run time, would need libgcc.
machine     = $(firstword $(subst -, ,$(or $(TARGET),$(shell $(CC) -dumpmachine))))
sources_at  = /usr/src/libaio-rs-$(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
for_machine = $(protection) \
	$(if $(filter aarch64,$(machine)),-C target-feature=-outline-atomics)$(if \
	$(filter mips% sparc% powerpc%,$(machine)),-Z 'crate-attr=feature(asm_experimental_arch)')
# CET on x86-64, BTI and PAC on AArch64: marks the targets of indirect jumps and, on AArch64, signs
# return addresses. Costs one instruction per call, a no-op on processors without the feature.
protection  = $(if $(filter x86_64,$(machine)),-Z cf-protection=full)$(if \
	$(filter aarch64,$(machine)),-Z branch-protection=bti$(comma)pac-ret $(mismatch))
# Newer versions of rustc refuse to combine crates with different protection. Of core and libc the
# object contains only inlined functions, which are compiled here, with this crate's protection.
mismatch    = $(if $(shell $(or $(RUSTC),rustc) -C help | grep unsafe-allow-abi-mismatch),\
	-C unsafe-allow-abi-mismatch=branch-protection)
# RUSTC_BOOTSTRAP lets this one crate use unstable features: -Z *-protection; on MIPS, SPARC and, in
# older versions of rustc, PowerPC also assembly, which sets the symbol versions.
unstable = RUSTC_BOOTSTRAP=aio
# ARM's unwind tables refer to the routine that reads them. The program that unwinds has its own.
link_machine = $(if $(filter arm%,$(machine)),-Wl$(comma)--defsym=__aeabi_unwind_cpp_pr0=0)
comma = ,
sources := Cargo.toml Cargo.lock build.rs cbindgen.toml pkgconfig/libaio.pc.in \
	$(shell find src -type f)

# With symbol versions, for the shared library. Cargo does not write the file if no change affects
# it; touch keeps make from running cargo again every time.
$(B)/shared.o: $(sources)
	@mkdir -p $(@D)
	$(cargo_object) --features versioned -- $(rustc_object)
	@touch -c $@

# Without symbol versions, for the archive. Built after the other because cargo locks the directory.
$(B)/static.o: $(sources) | $(B)/shared.o
	@mkdir -p $(@D)
	$(cargo_object) -- $(rustc_object)
	@touch -c $@

# -lc is for architectures whose system calls go through libc. On others --as-needed drops it.
$(B)/$(library): $(B)/shared.o libaio.map Makefile
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -nostdlib -nostartfiles -o $@ $(B)/shared.o \
		-Wl,--version-script=libaio.map,-soname,$(soname) -Wl,--gc-sections \
		-Wl,-z,defs,-z,relro,-z,now,-z,noexecstack $(link_machine) -Wl,--as-needed -lc

# Only the API is global, so that other Rust libraries can be linked into the same program. It is
# weak, so that a program can define a function of the same name itself, as it can with the original
# archive, which has one object file per function.
$(B)/libaio.a: $(B)/static.o Makefile
	$(OBJCOPY) --wildcard --keep-global-symbol='io_*' --weaken-symbol='io_*' $< $(B)/libaio.o
	rm -f $@
	$(AR) rcsD $@ $(B)/libaio.o

install: all ## install the library, its header, libaio.pc and the manual pages
	$(INSTALL) -d '$(DESTDIR)$(libdir)/pkgconfig' '$(DESTDIR)$(includedir)'
	$(INSTALL) -m 755 $(B)/$(library) '$(DESTDIR)$(libdir)/$(library)'
	ln -sf $(library) '$(DESTDIR)$(libdir)/$(soname)'
	ln -sf $(library) '$(DESTDIR)$(libdir)/libaio.so'
	$(INSTALL) -m 644 $(B)/libaio.a '$(DESTDIR)$(libdir)/libaio.a'
	$(INSTALL) -m 644 include/libaio.h '$(DESTDIR)$(includedir)/libaio.h'
	sed -e 's|^prefix=.*|prefix=$(prefix)|' \
		-e 's|^libdir=.*|libdir=$(patsubst $(prefix)/%,$${prefix}/%,$(libdir))|' \
		-e 's|^includedir=.*|includedir=$(patsubst $(prefix)/%,$${prefix}/%,$(includedir))|' \
		pkgconfig/libaio.pc > '$(DESTDIR)$(libdir)/pkgconfig/libaio.pc'
	chmod 644 '$(DESTDIR)$(libdir)/pkgconfig/libaio.pc'
	$(INSTALL) -d '$(DESTDIR)$(mandir)/man3' '$(DESTDIR)$(mandir)/man7'
	$(INSTALL) -m 644 man/*.3 '$(DESTDIR)$(mandir)/man3'
	$(INSTALL) -m 644 man/*.7 '$(DESTDIR)$(mandir)/man7'
	# Make links of the pages that only name another page: links survive the compression of pages.
	cd '$(DESTDIR)$(mandir)' && for page in $(man_pages); do \
		other=$$(sed -n 's|^\.so man[37]/||p' "$$page") && \
		test -z "$$other" || ln -sf "$$other" "$$page" || exit; done

man_pages = $(foreach page,$(notdir $(wildcard man/*.[37])),\
	man$(subst .,,$(suffix $(page)))/$(page))

uninstall: ## remove what `make install` installed
	rm -f '$(DESTDIR)$(libdir)/$(library)' '$(DESTDIR)$(libdir)/$(soname)' \
		'$(DESTDIR)$(libdir)/libaio.so' '$(DESTDIR)$(libdir)/libaio.a' \
		'$(DESTDIR)$(libdir)/pkgconfig/libaio.pc' '$(DESTDIR)$(includedir)/libaio.h' \
		$(foreach page,$(man_pages),'$(DESTDIR)$(mandir)/$(page)')

demo: ## build, copy a file through the library, then preload it
	scripts/build/demo.sh

clean: ## remove build/ and target/
	rm -rf build target

help: ## print this list
	@awk -F ':.*## ' '/^##@ / { print (n++ ? "\n" : "") substr($$0, 5) ":" } \
		/^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

##@ Develop
# build.rs generates these two files; the repository contains copies.
header: ## regenerate include/libaio.h and pkgconfig/libaio.pc
	LIBAIO_RS_BLESS=1 $(CARGO) test --test header generated

# With RECORD=1, each of the following checks writes its result into docs/testing.md.
record = $(if $(RECORD),scripts/shared/record.sh $@)

check: ## run lint and all tests (as root on Debian, install what they need)
	$(record) scripts/check/check.sh

lint: ## check formats, clippy, rustdoc, shell scripts, spelling and line lengths
	$(record) scripts/check/lint.sh

# docs/architecture.md describes the long versions of the stress test, random programs and models.
check-long: ## run the same tests with longer stress tests and larger models
	LIBAIO_RS_LONG=1 $(record) scripts/check/check.sh

tsan: ## run the lock's thread tests under ThreadSanitizer
miri: ## run the lock's thread tests under Miri (needs a nightly Rust)
tsan miri:
	$(record) scripts/check/$@.sh

bench: ## measure speed and write docs/benchmarks.md and docs/benchmarks.svg
	scripts/check/bench.sh

##@ Other machines, kernels and compilers (docs/architectures.md)
cross-check: ## build for eleven other machines and compare with Debian's libaio
i386-check: ## run the C programs as 32-bit programs
emulation-check: ## run the C programs on arm64, s390x and loong64 in QEMU
cross-check i386-check emulation-check:
	$(record) scripts/check/$@.sh

kernel-check: all ## run the C programs on Debian's kernels in QEMU
	$(record) scripts/check/$@.sh

rust-check: ## build the release with every Rust version in Debian

##@ Releases and packages (docs/trusted-builds.md, docs/packaging.md)
sbom: ## write the library's bill of materials (needs jq)
sbom: $(B)/libaio-rs.cdx.json

$(B)/libaio-rs.cdx.json: $(sources) scripts/release/sbom.sh scripts/release/sbom.jq
	@mkdir -p $(@D)
	CARGO='$(CARGO)' scripts/release/sbom.sh > $@

dist: ## make the release archive, which includes all crates
	scripts/release/$@.sh

dist-check: ## build, install and check the release without a network
reproducible-check: ## build the release and the packages twice and compare
licences: ## check the licence and source of every crate with cargo-deny
dist-check reproducible-check licences rust-check:
	$(record) scripts/check/$@.sh

deb: ## build Debian packages in build/deb
rpm: ## build RPM packages in build/rpm
deb rpm:
	scripts/package/$@.sh

package-check: ## build all packages and check them with lintian, rpmlint and makepkg
	$(record) scripts/check/$@.sh

##@ Whole Debian systems, as root (docs/system-checks.md)
root-check: ## replace libaio with the package and go back, under programs with data
sources-check: ## build Debian's source packages with libaio-rs-dev
autopkgtest-check: ## run the packages' own tests with autopkgtest
piuparts-check: ## install, replace and purge the packages with piuparts
root-check sources-check autopkgtest-check piuparts-check: deb
	$(record) scripts/check/$@.sh

.PHONY: all install uninstall demo clean help header check lint check-long tsan miri bench \
	cross-check i386-check emulation-check kernel-check rust-check sbom dist dist-check \
	reproducible-check licences deb rpm package-check root-check sources-check \
	autopkgtest-check piuparts-check
.DELETE_ON_ERROR:
