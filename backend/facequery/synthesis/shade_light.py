"""The second half of shading: light on the surfaces of a picture's samples, and their colour into the picture.

All directions are in camera space (OpenCV axes).
"""

import math

import numba
import numpy as np

from facequery.synthesis.shading import (
    ALBEDO,
    DEPTH,
    FACING,
    GLANCE,
    NORMAL,
    OPEN,
    SHARP,
    SOFT,
    STRAND,
    WET,
)


@numba.njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def _power(base, exponent):  # type: ignore[no-untyped-def]
    """About base ** exponent for a base in [0, 1] (Schlick 1994, A Fast Alternative to Phong's Specular Model), squared
    so that its tail falls off fast enough."""
    q = base / (np.float32(0.5) * exponent * (np.float32(1.0) - base) + base + np.float32(1e-9))
    return q * q


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def lit(  # type: ignore[no-untyped-def]
    count,
    sample_xy,
    sample_pixel,
    sample_weight,
    surface,
    fx,
    fy,
    cx,
    cy,
    sh,
    lights,
    light_colours,
    shadow_map,
    shadow_basis,
    shadow_centre,
    shadow_half,
    shadow_strength,
    down,
    out,
    coverage,
):
    """Adds each sample's linear colour times its weight to out (S * S, 3), and its weight to coverage (S * S,).

    surface (count, SURFACE_COLUMNS) of `shade_surface.surfaces`. sh (9, 3) irradiance / pi; lights (L, 3) unit
    directions towards the light, light_colours (L, 3); the first has a shadow_map (N, N) of nearness. down (3,) the
    head's downward direction, along which hair lies.
    """
    map_side = shadow_map.shape[0]
    one = np.float32(1.0)
    for s in range(count):
        rx, ry = (sample_xy[s, 0] - cx) / fx, (sample_xy[s, 1] - cy) / fy
        length = one / math.sqrt(rx * rx + ry * ry + one)
        ex, ey, ez = -rx * length, -ry * length, -length  # towards the eye
        r, g, b = surface[s, ALBEDO], surface[s, ALBEDO + 1], surface[s, ALBEDO + 2]
        nx, ny, nz = surface[s, NORMAL], surface[s, NORMAL + 1], surface[s, NORMAL + 2]
        near, facing, ao = surface[s, DEPTH], surface[s, FACING], surface[s, OPEN]
        specular, shine, scatter = surface[s, GLANCE], surface[s, SHARP], surface[s, SOFT]
        hair_spec, wet = surface[s, STRAND], surface[s, WET]

        # Light: the sky by spherical harmonics, then the lamps.
        f1, f2, f3 = ny, nz, nx
        f4, f5, f6 = nx * ny, ny * nz, np.float32(3.0) * nz * nz - one
        f7, f8 = nx * nz, nx * nx - ny * ny
        ir = (
            sh[0, 0]
            + sh[1, 0] * f1
            + sh[2, 0] * f2
            + sh[3, 0] * f3
            + sh[4, 0] * f4
            + sh[5, 0] * f5
            + sh[6, 0] * f6
            + sh[7, 0] * f7
            + sh[8, 0] * f8
        )
        ig = (
            sh[0, 1]
            + sh[1, 1] * f1
            + sh[2, 1] * f2
            + sh[3, 1] * f3
            + sh[4, 1] * f4
            + sh[5, 1] * f5
            + sh[6, 1] * f6
            + sh[7, 1] * f7
            + sh[8, 1] * f8
        )
        ib_ = (
            sh[0, 2]
            + sh[1, 2] * f1
            + sh[2, 2] * f2
            + sh[3, 2] * f3
            + sh[4, 2] * f4
            + sh[5, 2] * f5
            + sh[6, 2] * f6
            + sh[7, 2] * f7
            + sh[8, 2] * f8
        )
        # Light that comes back out of occluded skin is reddish.
        ao_r = ao + (one - ao) * ao * np.float32(0.5) * min(scatter * np.float32(2.0), one)
        ir, ig, ib_ = max(ir, np.float32(0.0)) * ao_r, max(ig, np.float32(0.0)) * ao, max(ib_, np.float32(0.0)) * ao
        fresnel = one - min(max(facing, np.float32(0.0)), one)
        fresnel2 = fresnel * fresnel
        rim = fresnel2 * fresnel2 * fresnel
        sky = (ir + ig + ib_) * np.float32(0.33)
        sr = specular * (np.float32(0.12) + np.float32(0.9) * rim) * sky
        sg, sb = sr, sr
        position_x, position_y, position_z = rx * near, ry * near, near
        for k in range(lights.shape[0]):
            lx, ly, lz = lights[k, 0], lights[k, 1], lights[k, 2]
            lit = one
            if k == 0 and shadow_strength > 0:
                qx, qy, qz = position_x - shadow_centre[0], position_y - shadow_centre[1], position_z - shadow_centre[2]
                mx = (shadow_basis[0, 0] * qx + shadow_basis[0, 1] * qy + shadow_basis[0, 2] * qz) / shadow_half
                my = (shadow_basis[1, 0] * qx + shadow_basis[1, 1] * qy + shadow_basis[1, 2] * qz) / shadow_half
                mz = shadow_basis[2, 0] * qx + shadow_basis[2, 1] * qy + shadow_basis[2, 2] * qz + one
                hx = (mx * np.float32(0.5) + np.float32(0.5)) * np.float32(map_side) - np.float32(0.5)
                hy = (my * np.float32(0.5) + np.float32(0.5)) * np.float32(map_side) - np.float32(0.5)
                if hx >= 0 and hy >= 0 and hx < map_side - 1 and hy < map_side - 1:
                    qi, qj = int(hy), int(hx)
                    fi, fj = hy - np.float32(qi), hx - np.float32(qj)
                    mz += np.float32(0.006)
                    blocked = np.float32(0.0)
                    if shadow_map[qi, qj] > mz:
                        blocked += (one - fi) * (one - fj)
                    if shadow_map[qi, qj + 1] > mz:
                        blocked += (one - fi) * fj
                    if shadow_map[qi + 1, qj] > mz:
                        blocked += fi * (one - fj)
                    if shadow_map[qi + 1, qj + 1] > mz:
                        blocked += fi * fj
                    lit = one - shadow_strength * blocked
            ndl = nx * lx + ny * ly + nz * lz
            wrap = max((ndl + scatter) / (one + scatter), np.float32(0.0))
            half_wrap = max((ndl + scatter * np.float32(0.35)) / (one + scatter * np.float32(0.35)), np.float32(0.0))
            k1 = ao * lit
            ir += light_colours[k, 0] * wrap * ao * (lit + (one - lit) * np.float32(0.08) * scatter)
            ig += light_colours[k, 1] * half_wrap * k1
            ib_ += light_colours[k, 2] * half_wrap * k1
            hx, hy, hz = lx + ex, ly + ey, lz + ez
            length = one / math.sqrt(hx * hx + hy * hy + hz * hz + np.float32(1e-12))
            if hair_spec > 0:  # Kajiya's highlight, strands along the head's down
                d = down[0] * nx + down[1] * ny + down[2] * nz
                tx, ty, tz = down[0] - d * nx, down[1] - d * ny, down[2] - d * nz
                lt = one / math.sqrt(tx * tx + ty * ty + tz * tz + np.float32(1e-6))
                d = (tx * hx + ty * hy + tz * hz) * lt * length
                k1 = max(one - d * d, np.float32(0.0))
                k1 = _power(k1, shine * np.float32(0.5)) * hair_spec * lit
                k1 *= min(max(ndl * np.float32(2.0) + one, np.float32(0.0)), one) * ao
                sr += light_colours[k, 0] * k1
                sg += light_colours[k, 1] * k1
                sb += light_colours[k, 2] * k1
            elif ndl > 0:
                ndh = (nx * hx + ny * hy + nz * hz) * length
                k1 = np.float32(0.0)
                if specular > 0 and ndh > 0:
                    k1 = _power(ndh, shine) * specular * (shine + np.float32(8.0)) * np.float32(0.035)
                    k1 *= np.float32(0.35) + np.float32(0.65) * fresnel2
                if wet > 0 and ndh > np.float32(0.9):
                    k1 += _power(ndh, np.float32(350.0)) * wet * np.float32(4.0)
                k1 *= lit * ndl * ao
                sr += light_colours[k, 0] * k1
                sg += light_colours[k, 1] * k1
                sb += light_colours[k, 2] * k1
        if wet > 0:  # the sky mirrored: the reflected ray's elevation picks from the upper half
            d = np.float32(2.0) * facing
            mx, my, mz = d * nx - ex, d * ny - ey, d * nz - ez
            k1 = (np.float32(0.03) + np.float32(0.5) * rim) * wet * ao
            qr = sh[0, 0] + sh[1, 0] * my + sh[2, 0] * mz + sh[3, 0] * mx
            qg = sh[0, 1] + sh[1, 1] * my + sh[2, 1] * mz + sh[3, 1] * mx
            qb = sh[0, 2] + sh[1, 2] * my + sh[2, 2] * mz + sh[3, 2] * mx
            sr += max(qr, np.float32(0.0)) * k1
            sg += max(qg, np.float32(0.0)) * k1
            sb += max(qb, np.float32(0.0)) * k1
        weight = sample_weight[s]
        p = sample_pixel[s]
        out[p, 0] += (r * ir + sr) * weight
        out[p, 1] += (g * ig + sg) * weight
        out[p, 2] += (b * ib_ + sb) * weight
        coverage[p] += weight
