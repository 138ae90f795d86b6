# gnuplot -e "from='DIRECTORY'" bench/scale/plot.gp: docs/scale-*.svg from what scale left there.
set datafile separator "\t"
set terminal svg size 720,480 font "sans,12" background "white"
set style line 1 lc rgb "#888888" lw 1.5 pt 4 ps 0.6
set style line 2 lc rgb "#d95f02" lw 1.5 pt 8 ps 0.7
set style line 3 lc rgb "#7570b3" lw 2 pt 7 ps 0.6
set style line 4 lc rgb "#1b9e77" lw 2 pt 6 ps 0.7
set style line 5 lc rgb "#c00000" lw 1.5
set grid lc rgb "#dddddd" lt 1
set border lc rgb "#444444"
set key top right

# What calls buy.
set xlabel "calls, of the least possible"
set ylabel "gets that waited, the first aside (%)"
set logscale y
is(family, rule) = strcol(1) eq family && strcol(2)[1:2] eq rule
do for [name in "browsing mixed"] {
	set output "docs/scale-".name.".svg"
	set title name
	file = from."/".name.".tsv"
	plot [1:3] [0.05:30] \
		file using (is("simple", "on") ? $3 : NaN):4 with linespoints ls 1 title "on access", \
		file using (is("simple", "by") ? $3 : NaN):4 with linespoints ls 2 title "by timer", \
		file using (is("idle", "ou") ? $3 : NaN):4 with linespoints ls 3 title "ours, renew\\_idle set", \
		file using (is("auto", "ou") ? $3 : NaN):4 with linespoints ls 4 title "ours, auto, over budgets"
}
set output "docs/scale-day.svg"
set title "a day, a million sessions"
file = from."/day.tsv"
plot [0.9:5] [0.5:30] \
	file using (strcol(1) eq "simple" ? $3 : NaN):4 with points ls 1 title "simple rules", \
	file using (strcol(1) eq "budgeted" ? $3 : NaN):4 with points ls 2 title "simple rules, same budget", \
	file using (is("idle", "ou") ? $3 : NaN):4 with linespoints ls 3 title "ours, renew\\_idle set", \
	file using (is("auto", "ou") ? $3 : NaN):4 with points ls 4 title "ours, auto, and with twice the budget"

# What happens when: calls above, gets refused below.
unset logscale y
unset title
set xtics 2
set xrange [0:24]
set lmargin 9
set key outside top center horizontal
percent(part, all) = all > 0 ? 100 * part / all : NaN
do for [name in "stranger outage"] {
	file = from."/".name.".tsv"
	set output "docs/scale-".name.".svg"
	set multiplot layout 2,1
	set xlabel ""
	set ylabel "calls in 10 s"
	set yrange [0:*]
	if (name eq "stranger") {
		plot file index 1 using ($2 / 60):6 with lines ls 3 title "ours", \
			file index 1 using ($2 / 60):10 with lines ls 2 title "the stranger's", \
			file index 1 using ($2 / 60):8 with lines ls 5 title "429s"
	} else {
		plot file index 0 using ($2 / 60):6 with lines ls 3 title "ours", \
			file index 2 using ($2 / 60):6 with lines ls 1 title "fetch on demand"
	}
	set xlabel "minutes"
	set ylabel "gets refused (%)"
	set yrange [0:105]
	if (name eq "stranger") {
		plot file index 1 using ($2 / 60):(percent($5, $3)) with lines ls 3 title "ours"
	} else {
		plot file index 0 using ($2 / 60):(percent($5, $3)) with lines ls 3 title "ours", \
			file index 2 using ($2 / 60):(percent($5, $3)) with lines ls 1 title "fetch on demand"
	}
	unset multiplot
}
