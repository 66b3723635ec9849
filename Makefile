# libaio-rs. `make help` lists the targets, docs/variables.md the variables.
#
# The installed library is linked here, by $(CC), from one object file that rustc makes: so it is
# the same whichever linker rustc is set up for, and holds nothing but our code.

prefix      ?= /usr/local
exec_prefix ?= $(prefix)
libdir      ?= $(exec_prefix)/lib
includedir  ?= $(prefix)/include
mandir      ?= $(prefix)/share/man
DESTDIR     ?=

CC      ?= cc
CARGO   ?= cargo
INSTALL ?= install
# Build for another machine, by its Rust name, with CC set to its compiler:
# make TARGET=aarch64-unknown-linux-gnu CC=aarch64-linux-gnu-gcc
TARGET  ?=
OBJCOPY ?= $(shell $(CC) -print-prog-name=objcopy)

soname  = libaio.so.1
library = $(soname).0.2
B       = build$(if $(TARGET),/$(TARGET))

##@ Build and install
all: $(B)/$(library) $(B)/libaio.a ## build libaio.so.1 and libaio.a in build/ (the default)

# A crate type without a link step: only the object counts. --emit names where it goes, and cargo
# runs rustc in this directory. What runs here at build time is compiled once for all machines.
cargo_object = $(unstable) $(pin_flags) $(CARGO) rustc --release --locked --lib --crate-type lib \
	--target-dir build/cargo $(if $(TARGET),--target $(TARGET)) --no-default-features $(pin_profile)
# Debug information (CARGO_PROFILE_RELEASE_DEBUG=2) would name this directory, and be another in
# every build; it names the one where packages of debug information put sources.
rustc_object = $(for_machine) --remap-path-prefix='$(CURDIR)=$(sources_at)' --emit=obj=$@
# Distributions' build systems say for all crates how to build them, by CARGO_PROFILE_RELEASE_*,
# RUSTFLAGS or cargo's configuration. Here one object must come out, machine code that cannot panic;
# everything else that they say holds.
profile = lto="off" codegen-units=1 opt-level=3 debug-assertions=false overflow-checks=false \
	panic="abort" split-debuginfo="off"
pin_profile = $(foreach setting,$(profile),--config 'profile.release.$(setting)')
# Unwind tables let an exception or a cancelled thread pass through io_queue_run.
flags = $(subst ",,$(profile)) linker-plugin-lto=no relocation-model=pic force-unwind-tables=yes
# By its name alone: cargo makes the path of a wrapper part of symbols' names.
pin_flags = CARGO_INCREMENTAL=0 RUSTC_WORKSPACE_WRAPPER=rustc-pinned.sh \
	PATH='$(CURDIR)/scripts':"$$PATH" PINNED='$(addprefix -C,$(flags))'
# Atomics that choose their instructions at run time would ask for libgcc on AArch64.
machine     = $(firstword $(subst -, ,$(or $(TARGET),$(shell $(CC) -dumpmachine))))
sources_at  = /usr/src/libaio-rs-$(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
for_machine = $(protection) \
	$(if $(filter aarch64,$(machine)),-C target-feature=-outline-atomics)$(if \
	$(filter mips% sparc% powerpc%,$(machine)),-Z 'crate-attr=feature(asm_experimental_arch)')
# Marks where indirect jumps may arrive and, on AArch64, signs return addresses (CET, BTI, PAC). It
# costs an instruction for each call, which does nothing on processors that do not know it.
protection  = $(if $(filter x86_64,$(machine)),-Z cf-protection=full)$(if \
	$(filter aarch64,$(machine)),-Z branch-protection=bti$(comma)pac-ret $(mismatch))
# Newer rustcs want every crate to have the same protection; of core and libc nothing is compiled in
# but what is inlined here, and so compiled here.
mismatch    = $(if $(shell $(or $(RUSTC),rustc) -C help | grep unsafe-allow-abi-mismatch),\
	-C unsafe-allow-abi-mismatch=branch-protection)
# rustc does not call that stable, nor, on MIPS, SPARC and, in older versions, PowerPC, assembly, by
# which symbols get their versions. This lets rustc take it for this crate alone.
unstable = RUSTC_BOOTSTRAP=aio
# ARM's unwind tables name the routine that reads them, which whoever unwinds has of its own.
link_machine = $(if $(filter arm%,$(machine)),-Wl$(comma)--defsym=__aeabi_unwind_cpp_pr0=0)
comma = ,
sources := Cargo.toml Cargo.lock build.rs cbindgen.toml pkgconfig/libaio.pc.in \
	$(shell find src -type f)

# With symbol versions, for the shared library. Cargo leaves the file alone if what changed does not
# matter to rustc; make must not ask again for ever.
$(B)/shared.o: $(sources)
	@mkdir -p $(@D)
	$(cargo_object) --features versioned -- $(rustc_object)
	@touch -c $@

# Without, for the archive. Waits for the other because cargo locks the directory anyway.
$(B)/static.o: $(sources) | $(B)/shared.o
	@mkdir -p $(@D)
	$(cargo_object) -- $(rustc_object)
	@touch -c $@

# -lc is for architectures whose system calls go through libc; elsewhere nothing needs it.
$(B)/$(library): $(B)/shared.o libaio.map Makefile
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -nostdlib -nostartfiles -o $@ $(B)/shared.o \
		-Wl,--version-script=libaio.map,-soname,$(soname) -Wl,--gc-sections \
		-Wl,-z,defs,-z,relro,-z,now,-z,noexecstack $(link_machine) -Wl,--as-needed -lc

# Nothing global but the API, so that other Rust libraries fit into the same program; and weak, so
# that a program which defines a function of the same name keeps its own, as it does with the
# original's one object per function.
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
	# A page that only names another becomes a link, which compressing a page does not break.
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
	scripts/demo.sh

clean: ## remove build/ and target/
	rm -rf build target

help: ## print this list
	@awk -F ':.*## ' '/^##@ / { print (n++ ? "\n" : "") substr($$0, 5) ":" } \
		/^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

##@ Develop
# The checked-in copies of what build.rs generates.
header: ## regenerate include/libaio.h and pkgconfig/libaio.pc
	LIBAIO_RS_BLESS=1 $(CARGO) test --test header generated

# With RECORD=1, each of the checks from here on writes how it ended into docs/testing.md.
record = $(if $(RECORD),scripts/record.sh $@)

check: ## run lint and all tests; as root on Debian it installs what they need
	$(record) scripts/check.sh

lint: ## check formats, clippy, rustdoc, shell scripts, spelling and line lengths
	$(record) scripts/lint.sh

# Long versions of the stress test, the random programs and the model: see docs/architecture.md.
check-long: ## run the same tests with longer stress tests and larger models
	LIBAIO_RS_LONG=1 $(record) scripts/check.sh

tsan: ## run the lock's thread tests under ThreadSanitizer
miri: ## run the lock's thread tests under Miri (needs a nightly Rust)
tsan miri:
	$(record) scripts/$@.sh

bench: ## measure speed, and write docs/benchmarks.md and docs/benchmarks.svg
	scripts/bench.sh

##@ Other machines, kernels and compilers (docs/architectures.md)
cross-check: ## build for eleven other machines, and compare with Debian's libaio
i386-check: ## run the C programs as 32-bit programs
emulation-check: ## run the C programs on arm64, s390x and loong64, in QEMU
cross-check i386-check emulation-check:
	$(record) scripts/$@.sh

kernel-check: all ## run the C programs on Debian's kernels, in QEMU
	$(record) scripts/$@.sh

rust-check: ## build the release with every Rust that Debian has

##@ Releases and packages (docs/trusted-builds.md, docs/packaging.md)
sbom: ## write the library's bill of materials (needs jq)
sbom: $(B)/libaio-rs.cdx.json

$(B)/libaio-rs.cdx.json: $(sources) scripts/sbom.sh scripts/sbom.jq
	@mkdir -p $(@D)
	CARGO='$(CARGO)' scripts/sbom.sh > $@

dist: ## make the release archive, with all crates in it
	scripts/$@.sh

dist-check: ## build, install and check the release without a network
reproducible-check: ## build the release and the packages twice, and compare
licences: ## check the licence and the source of every crate with cargo-deny
dist-check reproducible-check licences rust-check:
	$(record) scripts/$@.sh

deb: ## build Debian packages in build/deb
rpm: ## build RPM packages in build/rpm
deb rpm:
	scripts/$@.sh

package-check: ## build all packages, and check them with lintian, rpmlint and makepkg
	$(record) scripts/$@.sh

##@ Whole Debian systems, as root (docs/system-checks.md)
root-check: ## exchange libaio for the package, and back, in disposable systems
sources-check: ## build Debian's source packages with libaio-rs-dev
engines-check: ## run Debian's programs where kernel AIO is refused to them
root-check sources-check: deb
engines-check: all
root-check sources-check engines-check:
	$(record) scripts/$@.sh

.PHONY: all install uninstall demo clean help header check lint check-long tsan miri bench \
	cross-check i386-check emulation-check kernel-check rust-check sbom dist dist-check \
	reproducible-check licences deb rpm package-check root-check sources-check \
	engines-check
.DELETE_ON_ERROR:
