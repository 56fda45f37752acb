# Gbit/s by packet size: the gateway against the cryptography alone. Variables: data, out, title, curves (2 or 3 an algorithm).
set terminal svg size 900,560 dynamic background "white" font "sans-serif,13"
set output out
set title title
set xlabel "inner packet, bytes"
set ylabel "Gbit/s of inner bytes, one lcore"
set key top left
set grid
set xtics (64, 256, 512, 1024, 1420)
set yrange [0:*]
plot for [i=0:3] data index curves*i using 1:2 with linespoints lw 2 pt 7 lc i+1 title columnheader(1), \
     for [i=0:3] data index curves*i+1 using 1:2 with lines lw 2 dt 2 lc i+1 title columnheader(1), \
     for [i=0:(curves == 3 ? 3 : -1)] data index curves*i+2 using 1:2 with lines lw 1 dt 3 lc i+1 title columnheader(1)
