# gnuplot -e "from='DIRECTORY'" bench/scale/plot.gp: docs/scale-*.svg from what scale left there.
set datafile separator "\t"
set terminal svg size 720,480 font "sans,12" background "white"
set xlabel "calls, of the least possible"
set ylabel "gets that waited, the first aside (%)"
set logscale y
set grid
set key top right
do for [name in "browsing mixed"] {
	set output "docs/scale-".name.".svg"
	set title name
	plot [1:3] [0.05:30] \
		from."/".name.".tsv" using (strcol(1) eq "simple" && strcol(2)[1:2] eq "on" ? $3 : NaN):4 \
			with linespoints title "on access", \
		"" using (strcol(1) eq "simple" && strcol(2)[1:2] eq "by" ? $3 : NaN):4 \
			with linespoints title "by timer", \
		"" using (strcol(1) eq "idle" ? $3 : NaN):4 \
			with linespoints title "ours, renew\\_idle set", \
		"" using (strcol(1) eq "auto" ? $3 : NaN):4 \
			with linespoints title "ours, auto, over budgets"
}
