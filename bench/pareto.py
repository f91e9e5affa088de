"""Compare the decoder "pareto" with that of the ADM renderer on every layout, and time its design.

Third order, over the region that the layout covers: range and deviation of the energy in dB, mean |rE|, mean and
95th percentile of the direction error in degrees. The last column names the measures in which pareto is worse.
"""

from __future__ import annotations

import time

from render.common.cli import parser
from render.hoa.layout import iamf_layout_names, layout, layout_names
from render.hoa.spherical_harmonics import fibonacci_sphere
from render.loudspeakers.decoder_quality import quality, quality_summary
from render.loudspeakers.design import decoding_matrix
from render.loudspeakers.dual_band import low_band
from render.loudspeakers.optimised import covered_elevation_deg


def main() -> None:
    """Design and print."""
    arguments = parser(__doc__, "bench.pareto")
    arguments.add_argument("--ambisonic-order", type=int, default=3, metavar="N", help="default 3")
    order = arguments.parse_args().ambisonic_order
    print("layout  decoder  range  sigma   |rE|  error   p95   design  worse in")
    for name in [*layout_names(), *iamf_layout_names()]:
        of = layout(name)
        if max(abs(speaker.azimuth_deg) for speaker in of.loudspeakers if not speaker.is_lfe) <= 90:
            continue  # refused: no loudspeakers behind
        theirs = quality_summary(decoding_matrix(of, order), of)
        begin = time.monotonic()
        matrix = decoding_matrix(of, order, "pareto")
        took_s = time.monotonic() - begin
        ours = quality_summary(matrix, of)
        for method, found in (("adm", theirs), ("pareto", ours)):
            print(
                f"{name if method == 'adm' else '':7s} {method:7s} {found.energy_range_db:5.2f} "
                f"{found.energy_deviation_db:6.3f} {found.re_length:6.3f} {found.error_deg:6.2f} "
                f"{found.error_95_deg:5.1f}",
                end="\n"
                if method == "adm"
                else f"  {took_s:5.1f} s  {', '.join(ours.worse_than(theirs)) or '-'}\n",
            )
        if covered_elevation_deg(of)[1] < 90:
            continue  # no vertical velocity
        velocity = quality(low_band(of, matrix), of, *fibonacci_sphere(5000))
        print(f"        dual, low band: largest rV error {velocity.rv_error_deg.max():.1e} degrees")


if __name__ == "__main__":
    main()
