#!/usr/bin/env bash
# Makes the demo clip: 24 s of a padel court seen from above, 1280x720 at 25 frames a second, H.264 High with B-frames, a
# keyframe every 2 s, AAC at 48 kHz (24 s are exactly 1125 AAC frames, so a loop has no seam).
#
# Burnt in: a running clock, and the frame's number as 16 squares of 32x32 px from (32,32), white 1 and black 0, most
# significant bit first, so that a test can read from a picture which frame it is.
#
# Usage: [RATE=30000/1001] clip.sh OUT.mp4 [ffmpeg's video options, instead of the H.264 ones]
set -euo pipefail
out=$1
shift
# Frames a second; tests also make 30000/1001.
rate=${RATE:-25}
font=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf
bits=""
for i in $(seq 0 15); do
    bits+=",drawbox=x=$((32 + 32 * i)):y=32:w=32:h=32:color=white:t=fill:enable='eq(mod(floor(n/pow(2,$((15 - i)))),2),1)'"
done
player() { # name colour
    printf "color=c=%s:s=34x54:r=$rate[%sp];" "$2" "$1"
}
graph="
color=c=0x1d5c9c:s=1280x720:r=$rate,
drawbox=x=120:y=110:w=1040:h=560:color=0x2f7fc4:t=fill,
drawbox=x=120:y=110:w=1040:h=560:color=white:t=5,
drawbox=x=638:y=90:w=4:h=600:color=0xe8e8e8:t=fill,
drawbox=x=290:y=110:w=4:h=560:color=white:t=fill,
drawbox=x=986:y=110:w=4:h=560:color=white:t=fill,
drawbox=x=290:y=388:w=700:h=4:color=white:t=fill,
drawbox=x=24:y=24:w=528:h=48:color=0x808080:t=fill,
drawbox=x=32:y=32:w=512:h=32:color=black:t=fill
$bits,
drawtext=fontfile=$font:text='%{pts\:hms}':x=880:y=28:fontsize=44:fontcolor=white:box=1:boxcolor=0x0b2540:boxborderw=8
[court];
$(player a 0xf2b134)$(player b 0xf2b134)$(player c 0xe8594f)$(player d 0xe8594f)
color=c=0xd9f24b:s=26x26:r=$rate,format=yuva420p,geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='255*lte(hypot(X-12.5,Y-12.5),12)'[ball];
[court][ap]overlay=x='200+50*sin(2*PI*t/6)':y='230+80*sin(2*PI*t/4)':shortest=0[s1];
[s1][bp]overlay=x='260+40*sin(2*PI*t/8+1)':y='500+70*sin(2*PI*t/6+2)'[s2];
[s2][cp]overlay=x='1010+50*sin(2*PI*t/4+2)':y='240+70*sin(2*PI*t/8)'[s3];
[s3][dp]overlay=x='960+40*sin(2*PI*t/6)':y='510+80*sin(2*PI*t/4+1)'[s4];
[s4][ball]overlay=x='627+400*sin(2*PI*t/3)':y='380+200*sin(2*PI*t/4.8)-60*abs(cos(2*PI*t/3))',format=yuv420p[v];
sine=frequency=196:beep_factor=3:sample_rate=48000,volume=0.05[a]
"
if [ $# -eq 0 ]; then
    set -- -c:v libx264 -preset veryslow -profile:v high -bf 3 -crf 21 -maxrate 560k -bufsize 1120k \
        -g 50 -keyint_min 50 -sc_threshold 0 -x264-params open-gop=0
fi
ffmpeg -hide_banner -loglevel error -nostdin -y -filter_complex "$graph" -map '[v]' -map '[a]' -t 24 \
    "$@" -c:a aac -b:a 48k -ac 1 -movflags +faststart -fflags +bitexact -flags:v +bitexact -flags:a +bitexact "$out"
