# Draws what bench.py wrote: gnuplot -e "data='FOLDER'; out='FOLDER'" plot.gp (./dev bench does both).

ours = '#0b6e4f'

# --- docs/bench.svg: how much of its target each row takes

stats data.'/rows.dat' using 2 nooutput
rows = STATS_records
# Why some fall short, a line each.
reasons = system('cat '.data.'/short.txt')
lines = int(system('wc -l <'.data.'/short.txt'))
height = 110 + 34 * rows + 20 * lines
set terminal svg size 980,height font 'sans-serif,13' background '#ffffff' name 'bench'
set output out.'/bench.svg'
set title 'What it costs, as a part of the target' font ',17'
set xlabel 'shorter is better; the line is the target'
set bmargin 4 + 1.2 * lines
set label reasons at screen 0.02,(20.0 * lines / height) left font ',12'
set datafile separator "\t"
set xrange [0:1.6]
set xtics ('0' 0, '1/4' 0.25, '1/2' 0.5, '3/4' 0.75, 'target' 1)
set yrange [rows - 0.4:-0.6]
set ytics scale 0 font ',12'
set grid xtics lc '#dddddd'
set border 1
set tics nomirror
set lmargin 62
set rmargin 2
unset key
set arrow from 1, graph 0 to 1, graph 1 nohead lw 2 lc '#444444' front
width(x) = x > 1.12 ? 1.12 : x
plot data.'/rows.dat' \
    using (0):0:(0):(width($2)):($0 - 0.32):($0 + 0.32):($2 > 1 ? 0xc8553d : 0x0b6e4f):ytic(1) \
        with boxxyerror fs solid noborder lc rgb variable, \
    '' using (1.15):0:3 with labels left font ',12' notitle
unset output
unset label

# --- docs/bench-profiles.svg

reset
set terminal svg size 760,420 font 'sans-serif,14' background '#ffffff' name 'profiles'
set output out.'/bench-profiles.svg'
set title 'What a request costs the processor, with so many profiles asked in turn' font ',16'
set xlabel 'profiles'
set ylabel 'beside one profile'
set logscale x
set xrange [0.7:1500]
set yrange [0:1.6]
set xtics ('1' 1, '10' 10, '100' 100, '1,000' 1000)
set grid ytics lc '#dddddd'
set border 3
set tics nomirror
unset key
plot data.'/profiles.dat' using 1:2:3:4 with yerrorbars lw 2 pt 7 ps 0.8 lc rgb ours, \
    '' using 1:2 with lines lw 2 lc rgb ours
unset output
