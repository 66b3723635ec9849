# awk -f line-lengths.awk FILE...: prints lines of more than 100 characters, and fails if there are
# any. A tab counts as four. Tables, links and output of programs may be longer. Needs LC_ALL=C.

# Generated files, and files with other people's text.
FNR == 1 {
	is_free = FILENAME ~ \
		/(\.svg|\.expected|\.differences|\.cdx\.json|\/LICENSE-.*|\/Cargo\.lock)$/ ||
		FILENAME ~ /^\.\/(\.cargo\/|docs\/benchmarks\.md$)/
	is_page = FILENAME ~ /\.md$/
	in_block = is_command = 0
}
is_free { next }

is_page && /^ *```/ { in_block = !in_block }
# A command in a console block, and its continuation lines.
in_block { is_command = /^\$ / || is_command && continues; continues = /[\\|&]$/ }
{
	line = $0
	gsub(/\t/, "    ", line)
	gsub(/[\200-\277]/, "", line) # leaves one byte of each UTF-8 character
}
length(line) <= 100 || /:\/\/|\]\(/ { next }
is_page && (/^\|/ || in_block && !is_command) { next }
{
	print FILENAME ":" FNR ": " length(line) " characters"
	found = 1
}
END { exit found }
