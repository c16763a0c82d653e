# Draws the data that `sim --reach --data FOLDER` wrote: gnuplot -e "data='FOLDER'; out='FOLDER'" plot.gp
# (./dev sim --plot does both). No time, host or random name gets into the pictures.

ours = '#0b6e4f'
theirs = '#c8553d'

# --- docs/sim-offset-error.svg

set terminal svg size 960,620 font 'sans-serif,14' background '#ffffff' name 'offset'
set output out.'/sim-offset-error.svg'
set title "How far off the estimate of the login server's clock is" font ',17'
set xlabel 'exchanges so far'
set ylabel 'error against the true offset (logarithmic)'
set xrange [0.7:12.3]
set xtics 1
set logscale y
set yrange [0.0005:3]
set ytics ('0.5 ms' 0.0005, '1 ms' 0.001, '5 ms' 0.005, '10 ms' 0.01, '50 ms' 0.05, '0.1 s' 0.1, '0.5 s' 0.5, '1 s' 1)
set grid ytics lc '#dddddd'
set border 3
set tics nomirror
set key below vertical maxrows 4 Left reverse samplen 3 width -2 spacing 1.3
set xlabel offset 0,0.3
set bmargin 10
plot data.'/offset-wan.dat' \
    using 1:5 with linespoints lw 2 pt 9 ps 0.7 lc rgb theirs dt 2 title 'midpoint - iat, 40 ms: worst of 400 runs', \
    '' using 1:4 with linespoints lw 2 pt 9 ps 0.7 lc rgb theirs title 'midpoint - iat, 40 ms: RMS', \
    '' using 1:6 with linespoints lw 2 pt 8 ps 0.7 lc rgb '#e0a100' title 'mean of n midpoints - iat, 40 ms: RMS', \
    data.'/offset-far.dat' using 1:2 with linespoints lw 2 pt 5 ps 0.6 lc rgb '#3d5a80' title 'gctokend, 300 ms (50 there, 250 back): RMS', \
    data.'/offset-wan.dat' using 1:3 with linespoints lw 2 pt 7 ps 0.6 lc rgb ours dt 2 title 'gctokend, 40 ms: worst of 400 runs', \
    '' using 1:2 with linespoints lw 2 pt 7 ps 0.6 lc rgb ours title 'gctokend, 40 ms: RMS', \
    data.'/offset-lan.dat' using 1:2 with linespoints lw 2 pt 6 ps 0.6 lc rgb '#7cb342' title 'gctokend, 1 ms: RMS'
unset output

# --- docs/sim-rejected.svg

reset
set terminal svg size 900,880 font 'sans-serif,14' background '#ffffff' name 'rejected'
set output out.'/sim-rejected.svg'
set title 'Tokens handed out that the API refuses' font ',17'
set xlabel 'share of all calls, logarithmic; 0 where not one was refused'
set logscale x
floor = 0.0001
set xrange [floor:100]
set xtics ('0.0001 %%' 0.0001, '0.001 %%' 0.001, '0.01 %%' 0.01, '0.1 %%' 0.1, '1 %%' 1, '10 %%' 10, '100 %%' 100)
set grid xtics lc '#dddddd'
set border 1
set tics nomirror
set ytics scale 0
rows = 10
set yrange [rows - 0.5:-0.5]
set lmargin 36
set key below vertical maxrows 3 Left reverse samplen 1.5 width -2 spacing 1.3 noenhanced
set bmargin 8
# Below this line stands what nobody can promise.
promised = 7
set arrow from floor, promised - 0.5 to 100, promised - 0.5 nohead lc '#888888' dt 3
set label 'below this line: not promised' at 100, promised - 0.38 right font ',12' textcolor '#666666'
bar = 0.16
colours = '#0b6e4f #c8553d #e39a83 #e0a100 #8d6a9f'
names = 'gctokend "buffer of 10 s" "buffer of 15 s" "buffer of 10 s - skew" "10 s, monotonic clock"'
# Columns of the data: the name, then these, but not the sixth, which refuses little and fetches much.
column_of(n) = 2 + (n < 4 ? n : 5)
top(row, n) = row - 0.4 + n * bar
is_zero(x) = x <= 0
plot for [n = 0:4] data.'/rejected.dat' \
    using (floor):0:(floor):(column(column_of(n))):(top($0, n)):(top($0, n) + bar * 0.85):ytic(1) \
        with boxxyerror fs solid noborder lc rgb word(colours, n + 1) \
        title word(names, n + 1), \
    for [n = 0:4] '' \
    using (is_zero(column(column_of(n))) ? floor * 1.06 : NaN):(top($0, n) + bar / 2):("0") \
        with labels left font ',9' textcolor rgb word(colours, n + 1) notitle
unset output

# --- docs/sim-simple.svg

reset
set terminal svg size 900,900 font 'sans-serif,14' background '#ffffff' name 'simple'
set output out.'/sim-simple.svg'
# In the middle of the whole picture, not of what the names of worlds leave.
set title 'Calls with a refused token or none, tokens of 60 s' font ',17' offset -16,0
set xlabel 'share of all calls, logarithmic; 0 where there was not one'
set logscale x
floor = 0.001
set xrange [floor:100]
set xtics ('0.001 %%' 0.001, '0.01 %%' 0.01, '0.1 %%' 0.1, '1 %%' 1, '10 %%' 10, '100 %%' 100)
set grid xtics lc '#dddddd'
set border 1
set tics nomirror
set ytics scale 0
set yrange [23.5:-0.5]
set lmargin 44
set key below vertical maxrows 3 Left reverse samplen 1.5 width -2 spacing 1.3 noenhanced
set bmargin 8
bar = 0.26
colours = '#0b6e4f #c8553d #e0a100'
names = 'gctokend "twenty lines" "serve to 90 %, refresh at 80 to 88 %"'
top(row, n) = row - 0.4 + n * bar
is_zero(x) = x <= 0
plot for [n = 0:2] '< grep " 60 " '.data.'/simple.dat' \
    using (floor):0:(floor):(column(3 + n)):(top($0, n)):(top($0, n) + bar * 0.85):ytic(1) \
        with boxxyerror fs solid noborder lc rgb word(colours, n + 1) \
        title word(names, n + 1), \
    for [n = 0:2] '' \
    using (is_zero(column(3 + n)) ? floor * 1.06 : NaN):(top($0, n) + bar / 2):("0") \
        with labels left font ',8' textcolor rgb word(colours, n + 1) notitle
unset output
