# libaio-rs. `make help` lists the targets, docs/variables.md the variables.
#
# $(CC) links the installed library here, from one object file of rustc's. So the result does not
# depend on rustc's linker, and contains only this project's code.

prefix      ?= /usr/local
exec_prefix ?= $(prefix)
libdir      ?= $(exec_prefix)/lib
includedir  ?= $(prefix)/include
mandir      ?= $(prefix)/share/man
DESTDIR     ?=

CC      ?= cc
CARGO   ?= cargo
INSTALL ?= install
# The Rust name of another machine to build for, with CC set to its compiler:
# make TARGET=aarch64-unknown-linux-gnu CC=aarch64-linux-gnu-gcc
TARGET  ?=
OBJCOPY ?= $(shell $(CC) -print-prog-name=objcopy)

soname  = libaio.so.1
library = $(soname).0.2
B       = build$(if $(TARGET),/$(TARGET))

##@ Build and install
all: $(B)/$(library) $(B)/libaio.a ## build libaio.so.1 and libaio.a in build/ (the default)

# --crate-type lib has no link step; --emit sets the object's path, relative to this directory. One
# target directory for all machines, so that the build script is compiled once.
cargo_object = $(unstable) $(pin_flags) $(CARGO) rustc --release --locked --lib --crate-type lib \
	--target-dir build/cargo $(if $(TARGET),--target $(TARGET)) --no-default-features $(pin_profile)
# Debug information (CARGO_PROFILE_RELEASE_DEBUG=2) names the directory where debug packages install
# sources, not this one, which differs from build to build.
rustc_object = $(for_machine) --remap-path-prefix='$(CURDIR)=$(sources_at)' --emit=obj=$@
# Distributions set build options for all crates, with CARGO_PROFILE_RELEASE_*, RUSTFLAGS or cargo's
# configuration. These options override theirs, because the result must be one object file of
# machine code that cannot panic. All other options remain in effect.
profile = lto="off" codegen-units=1 opt-level=3 debug-assertions=false overflow-checks=false \
	panic="abort" split-debuginfo="off"
pin_profile = $(foreach setting,$(profile),--config 'profile.release.$(setting)')
# Unwind tables let an exception or a thread cancellation pass through io_queue_run. The last two
# make the library a page smaller: less inlining, and no unrolling of loops of unknown length.
flags = $(subst ",,$(profile)) linker-plugin-lto=no relocation-model=pic force-unwind-tables=yes \
	llvm-args=-inline-threshold=60 llvm-args=-unroll-runtime=false
# The wrapper is given without a path, because cargo hashes the path into the names of symbols.
pin_flags = CARGO_INCREMENTAL=0 RUSTC_WORKSPACE_WRAPPER=rustc-pinned.sh \
	PATH='$(CURDIR)/scripts/build':"$$PATH" PINNED='$(addprefix -C,$(flags))'
# -outline-atomics: outlined atomics, which AArch64 chooses at run time, need libgcc.
machine     = $(firstword $(subst -, ,$(or $(TARGET),$(shell $(CC) -dumpmachine))))
sources_at  = /usr/src/libaio-rs-$(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
for_machine = $(protection) \
	$(if $(filter aarch64,$(machine)),-C target-feature=-outline-atomics)$(if \
	$(filter mips% sparc% powerpc%,$(machine)),-Z 'crate-attr=feature(asm_experimental_arch)')
# Marks the targets of indirect jumps (CET, BTI) and, on AArch64, signs return addresses (PAC). The
# extra instruction in each function does nothing on processors without the feature.
protection  = $(if $(filter x86_64,$(machine)),-Z cf-protection=full)$(if \
	$(filter aarch64,$(machine)),-Z branch-protection=bti$(comma)pac-ret $(mismatch))
# Newer versions of rustc require the same protection in every crate. core and libc lack it, but
# only their inlined functions are linked in, and those are compiled here.
mismatch    = $(if $(shell $(or $(RUSTC),rustc) -C help | grep unsafe-allow-abi-mismatch),\
	-C unsafe-allow-abi-mismatch=branch-protection)
# RUSTC_BOOTSTRAP lets this one crate use unstable features: -Z *-protection; on MIPS, SPARC and
# (older rustc) PowerPC also assembly, which sets the symbol versions.
unstable = RUSTC_BOOTSTRAP=aio
# ARM's unwind tables refer to the routine that interprets them. The unwinder has its own copy, so
# the reference is defined as 0.
link_machine = $(if $(filter arm%,$(machine)),\
	$(foreach part,0 1,-Wl$(comma)--defsym=__aeabi_unwind_cpp_pr$(part)=0))
comma = ,
sources := Cargo.toml Cargo.lock build.rs cbindgen.toml pkgconfig/libaio.pc.in \
	$(shell find src -type f)

# With symbol versions, for the shared library. If a change does not affect rustc, cargo does not
# rewrite the file, so touch it, or make would run cargo every time.
$(B)/shared.o: $(sources)
	@mkdir -p $(@D)
	$(cargo_object) --features versioned -- $(rustc_object)
	@touch -c $@

# Without symbol versions, for the archive. Built after the other, because cargo locks the target
# directory.
$(B)/static.o: $(sources) | $(B)/shared.o
	@mkdir -p $(@D)
	$(cargo_object) -- $(rustc_object)
	@touch -c $@

# -lc is needed only on architectures that make system calls through libc.
$(B)/$(library): $(B)/shared.o libaio.map Makefile
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -nostdlib -nostartfiles -o $@ $(B)/shared.o \
		-Wl,--version-script=libaio.map,-soname,$(soname) -Wl,--gc-sections \
		-Wl,-z,defs,-z,relro,-z,now,-z,noexecstack $(link_machine) -Wl,--as-needed -lc

# Only the API is global, so that other Rust libraries can be linked into the same program. It is
# weak, so that a program may define a function of the same name, as it may with the original, whose
# archive has one object per function.
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
	# Replace .so pages by links, which still work if the pages are compressed.
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
# Updates the checked-in copies of the files that build.rs generates.
header: ## regenerate include/libaio.h and pkgconfig/libaio.pc
	LIBAIO_RS_BLESS=1 $(CARGO) test --test header generated

# With RECORD=1, each check below writes its result to docs/testing.md.
record = $(if $(RECORD),scripts/shared/record.sh $@)

check: ## run lint and all tests (as root on Debian, install what they need)
	$(record) scripts/check/check.sh

lint: ## check formats, clippy, rustdoc, shell scripts, spelling and line lengths
	$(record) scripts/check/lint.sh

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
workflows-check: ## check the GitHub workflows with actionlint
dist-check reproducible-check licences rust-check workflows-check:
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

engines-check: all ## run Debian's programs where kernel AIO is refused to them
	$(record) scripts/check/$@.sh
engines-bench: all ## measure these programs, for the table in docs/engines.md
	scripts/check/$@.sh

.PHONY: all install uninstall demo clean help header check lint check-long tsan miri bench \
	cross-check i386-check emulation-check kernel-check rust-check sbom dist dist-check \
	reproducible-check licences workflows-check deb rpm package-check root-check \
	sources-check autopkgtest-check piuparts-check engines-check \
	engines-bench
.DELETE_ON_ERROR:
