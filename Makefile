# libaio-rs. `make`, `make install`, `make check`, `make demo`, `make bench`; see README.md.
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

all: $(B)/$(library) $(B)/libaio.a

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
pin_flags = CARGO_INCREMENTAL=0 RUSTC_WORKSPACE_WRAPPER=rustc-pinned.sh PATH='$(CURDIR)/scripts':"$$PATH" \
	PINNED='$(addprefix -C,$(flags))'
# Atomics that choose their instructions at run time would ask for libgcc on AArch64.
machine     = $(firstword $(subst -, ,$(or $(TARGET),$(shell $(CC) -dumpmachine))))
sources_at  = /usr/src/libaio-rs-$(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
for_machine = $(protection) $(if $(filter aarch64,$(machine)),-C target-feature=-outline-atomics)$(if \
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

install: all
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

man_pages = $(foreach page,$(notdir $(wildcard man/*.[37])),man$(subst .,,$(suffix $(page)))/$(page))

uninstall:
	rm -f '$(DESTDIR)$(libdir)/$(library)' '$(DESTDIR)$(libdir)/$(soname)' \
		'$(DESTDIR)$(libdir)/libaio.so' '$(DESTDIR)$(libdir)/libaio.a' \
		'$(DESTDIR)$(libdir)/pkgconfig/libaio.pc' '$(DESTDIR)$(includedir)/libaio.h' \
		$(foreach page,$(man_pages),'$(DESTDIR)$(mandir)/$(page)')

# The checked-in copies of what build.rs generates.
header:
	LIBAIO_RS_BLESS=1 $(CARGO) test --test header generated

# With RECORD=1, each of the checks from here on writes how it ended into docs/testing.md.
record = $(if $(RECORD),scripts/record.sh $@)

check:
	$(record) scripts/check.sh

# Long versions of the stress test, the random programs and the model: see docs/architecture.md.
check-long:
	LIBAIO_RS_LONG=1 $(record) scripts/check.sh

# The lock's test with threads, under what sees data races: scripts/tsan.sh, scripts/miri.sh.
tsan miri:
	$(record) scripts/$@.sh

# Writes docs/benchmarks.md and .svg.
bench:
	scripts/bench.sh

demo:
	scripts/demo.sh

# For other machines: see docs/architectures.md.
cross-check i386-check emulation-check:
	$(record) scripts/$@.sh

# On other kernels: see docs/architectures.md.
kernel-check: all
	$(record) scripts/$@.sh

# The bill of materials of the library that was built, for its package; needs jq.
sbom: $(B)/libaio-rs.cdx.json

$(B)/libaio-rs.cdx.json: $(sources) scripts/sbom.sh scripts/sbom.jq
	@mkdir -p $(@D)
	CARGO='$(CARGO)' scripts/sbom.sh > $@

# The release, and what can be proved of it and of what is built: see docs/trusted-builds.md.
dist:
	scripts/$@.sh

dist-check reproducible-check licences rust-check:
	$(record) scripts/$@.sh

# Packages, in build/deb and build/rpm; package-check builds all and has lintian and rpmlint judge
# them: see docs/packaging.md.
deb rpm:
	scripts/$@.sh

package-check:
	$(record) scripts/$@.sh

# With the packages, in disposable Debian systems, as root: see docs/system-checks.md.
root-check sources-check: deb
	$(record) scripts/$@.sh

clean:
	rm -rf build target

.PHONY: all install uninstall header check check-long tsan miri cross-check i386-check emulation-check kernel-check bench \
	demo deb rpm package-check sbom dist dist-check reproducible-check licences rust-check \
	root-check sources-check clean
.DELETE_ON_ERROR:
