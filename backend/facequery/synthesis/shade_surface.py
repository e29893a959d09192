"""The first half of shading: where each sample of a picture lies, and what its surface is like there.

All directions are in camera space (OpenCV axes). The light falls on it in `shade_light`. Both are kernels of their own:
one kernel of twice the size is slower, and kernels that call each other with arrays are slower still.
"""

import math

import numba
import numpy as np

from facequery.synthesis.shading import (
    ALBEDO,
    AMOUNT,
    BLOTCHES,
    BLUSH,
    BLUSH_COLOUR,
    BROW,
    BROW_COLOUR,
    BROW_LAYER,
    BROW_SHIFT,
    CENTRE,
    CLOTH,
    COLOUR,
    CONTRAST,
    CREASES,
    DEPTH,
    EYE,
    FACING,
    FRECKLES,
    FRONT,
    GAIN,
    GLANCE,
    GLOSS,
    HAIR,
    HAIR_COLOUR,
    HAIRLINE,
    IRIS_LAYER,
    IRIS_SIZE,
    KIND,
    LINER,
    LIP_COLOUR,
    LIP_GLOSS,
    LIPS,
    MASK_BEARD,
    MASK_BLUSH,
    MASK_LINER,
    MASK_LIPS,
    MASK_SCALP,
    MASK_SHADOW,
    MASK_WRINKLE_U,
    MASK_WRINKLE_V,
    MEAN,
    MOUTH,
    NORMAL,
    OIL,
    OPEN,
    OVERLAY,
    PATTERN,
    PORE_SCALE,
    PORES,
    PUPIL_SIZE,
    REDNESS,
    SCALP,
    SCATTER,
    SECOND,
    SHADOW,
    SHADOW_COLOUR,
    SHARP,
    SHINE,
    SKIN,
    SOFT,
    SPECULAR,
    STRAND,
    STRIPE,
    STUBBLE,
    TEXTURE,
    TOOTH,
    WET,
    WRINKLES,
)


@numba.njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def _taps(u, v, width, height):  # type: ignore[no-untyped-def]
    """Texel and weights for a bilinear look-up at u, v in [0, 1] of the texture (v up)."""
    x = u * np.float32(width) - np.float32(0.5)
    y = (np.float32(1.0) - v) * np.float32(height) - np.float32(0.5)
    x = min(max(x, np.float32(0.0)), np.float32(width) - np.float32(1.001))
    y = min(max(y, np.float32(0.0)), np.float32(height) - np.float32(1.001))
    i, j = int(y), int(x)
    return i, j, y - np.float32(i), x - np.float32(j)  # an int would make doubles of all that follows


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def surfaces(  # type: ignore[no-untyped-def]
    count,
    sample_tri,
    sample_xy,
    vertices,
    normals,
    rest,
    occlusion,
    triangles,
    corner_uv,
    material,
    table,
    fx,
    fy,
    cx,
    cy,
    skin,
    albedo,
    masks,
    brows,
    overlay,
    noise,
    hair_textures,
    irises,
    to_linear,
    surface,
):
    """Writes what `shade_light.lit` reads of each sample into surface (count, SURFACE_COLUMNS) float32.

    vertices, normals (V, 3) camera space; rest (V, 3) coordinates for patterns; occlusion (V,) 0..1; corner_uv
    (T, 3, 2). skin (SKIN_PARAMETERS,); albedo (H, W, 3), masks (H, W, 8), overlay (H', W', 4), brows (L, H, W), noise
    (N, N, 4), hair_textures (L, H, W), irises (L, A, R, 3) uint8; to_linear (256,).
    """
    height, width = albedo.shape[0], albedo.shape[1]
    noise_side = np.float32(noise.shape[0])  # a power of two
    mask = noise.shape[0] - 1
    one = np.float32(1.0)
    inv255 = np.float32(1.0 / 255.0)
    m8 = np.zeros(8, np.float32)
    for s in range(count):
        t = sample_tri[s]
        px, py = sample_xy[s, 0], sample_xy[s, 1]
        ia, ib, ic = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        # The ray through the sample meets the triangle's plane; weights by volumes, no division by the area.
        rx, ry = (px - cx) / fx, (py - cy) / fy
        ax, ay, az = vertices[ia, 0], vertices[ia, 1], vertices[ia, 2]
        bx, by, bz = vertices[ib, 0], vertices[ib, 1], vertices[ib, 2]
        gx, gy, gz = vertices[ic, 0], vertices[ic, 1], vertices[ic, 2]
        u = rx * (by * gz - bz * gy) + ry * (bz * gx - bx * gz) + (bx * gy - by * gx)
        v = rx * (gy * az - gz * ay) + ry * (gz * ax - gx * az) + (gx * ay - gy * ax)
        w = rx * (ay * bz - az * by) + ry * (az * bx - ax * bz) + (ax * by - ay * bx)
        total = u + v + w
        if total == 0:
            u, v, w = one, np.float32(0.0), np.float32(0.0)
        else:
            u /= total
            v /= total
            w /= total
        u = min(max(u, np.float32(0.0)), one)
        v = min(max(v, np.float32(0.0)), one)
        w = min(max(w, np.float32(0.0)), one)
        total = one / (u + v + w)
        u *= total
        v *= total
        w *= total

        nx = u * normals[ia, 0] + v * normals[ib, 0] + w * normals[ic, 0]
        ny = u * normals[ia, 1] + v * normals[ib, 1] + w * normals[ic, 1]
        nz = u * normals[ia, 2] + v * normals[ib, 2] + w * normals[ic, 2]
        length = one / math.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-12))
        nx *= length
        ny *= length
        nz *= length
        length = one / math.sqrt(rx * rx + ry * ry + one)
        ex, ey, ez = -rx * length, -ry * length, -length  # towards the eye
        facing = nx * ex + ny * ey + nz * ez
        m = material[t]
        kind = int(table[m, KIND])
        if facing < 0 and kind >= HAIR:  # cards and cloth are seen from both sides
            nx, ny, nz, facing = -nx, -ny, -nz, -facing
        X = u * rest[ia, 0] + v * rest[ib, 0] + w * rest[ic, 0]
        Y = u * rest[ia, 1] + v * rest[ib, 1] + w * rest[ic, 1]
        Z = u * rest[ia, 2] + v * rest[ib, 2] + w * rest[ic, 2]
        ao = u * occlusion[ia] + v * occlusion[ib] + w * occlusion[ic]
        wet = np.float32(0.0)  # extra sharp highlight
        specular, shine = table[m, SPECULAR], table[m, SHINE]
        scatter = np.float32(0.0)
        hair_spec = np.float32(0.0)
        r, g, b = table[m, COLOUR], table[m, COLOUR + 1], table[m, COLOUR + 2]

        if kind == SKIN:
            tu = u * corner_uv[t, 0, 0] + v * corner_uv[t, 1, 0] + w * corner_uv[t, 2, 0]
            tv = u * corner_uv[t, 0, 1] + v * corner_uv[t, 1, 1] + w * corner_uv[t, 2, 1]
            i, j, fi, fj = _taps(tu, tv, width, height)
            w00, w01, w10, w11 = (one - fi) * (one - fj), (one - fi) * fj, fi * (one - fj), fi * fj
            r = (
                to_linear[albedo[i, j, 0]] * w00
                + to_linear[albedo[i, j + 1, 0]] * w01
                + to_linear[albedo[i + 1, j, 0]] * w10
                + to_linear[albedo[i + 1, j + 1, 0]] * w11
            )
            g = (
                to_linear[albedo[i, j, 1]] * w00
                + to_linear[albedo[i, j + 1, 1]] * w01
                + to_linear[albedo[i + 1, j, 1]] * w10
                + to_linear[albedo[i + 1, j + 1, 1]] * w11
            )
            b = (
                to_linear[albedo[i, j, 2]] * w00
                + to_linear[albedo[i, j + 1, 2]] * w01
                + to_linear[albedo[i + 1, j, 2]] * w10
                + to_linear[albedo[i + 1, j + 1, 2]] * w11
            )
            for k in range(8):
                m8[k] = (
                    masks[i, j, k] * w00
                    + masks[i, j + 1, k] * w01
                    + masks[i + 1, j, k] * w10
                    + masks[i + 1, j + 1, k] * w11
                ) * inv255
            contrast = skin[CONTRAST]
            r = max(skin[MEAN] + contrast * (r - skin[MEAN]), np.float32(0.01)) * skin[GAIN]
            g = max(skin[MEAN + 1] + contrast * (g - skin[MEAN + 1]), np.float32(0.008)) * skin[GAIN + 1]
            b = max(skin[MEAN + 2] + contrast * (b - skin[MEAN + 2]), np.float32(0.006)) * skin[GAIN + 2]
            # Noise at two scales: fine for pores, stubble and hair, coarse for blotches.
            pu = tu * skin[PORE_SCALE] * np.float32(2.0)
            pv = tv * skin[PORE_SCALE]
            ni = math.floor(pv * noise_side) & mask
            nj = math.floor(pu * noise_side) & mask
            fine = noise[ni, nj, 0] * inv255 - np.float32(0.5)
            cu, cv = tu * np.float32(3.0), tv * np.float32(1.5)
            ki = math.floor(cv * noise_side) & mask
            kj = math.floor(cu * noise_side) & mask
            coarse = noise[ki, kj, 1] * inv255 - np.float32(0.5)
            blotch = one + skin[BLOTCHES] * coarse
            r *= one + np.float32(0.3) * skin[BLOTCHES] * coarse
            g *= blotch
            b *= blotch
            if skin[FRECKLES] > 0:
                qi = int(tv * np.float32(11.0) * noise_side) & mask
                qj = int(tu * np.float32(22.0) * noise_side) & mask
                f = max(noise[qi, qj, 0] * inv255 - np.float32(0.6), np.float32(0.0)) * skin[FRECKLES]
                f *= min(max(np.float32(0.6) + np.float32(3.0) * coarse, np.float32(0.0)), one)
                f = min(f, np.float32(0.7))
                r *= one - np.float32(0.5) * f
                g *= one - np.float32(0.75) * f
                b *= one - np.float32(0.9) * f
            k1 = m8[MASK_BLUSH] * skin[BLUSH]
            r += (skin[BLUSH_COLOUR] - r) * k1
            g += (skin[BLUSH_COLOUR + 1] - g) * k1
            b += (skin[BLUSH_COLOUR + 2] - b) * k1
            k1 = m8[MASK_SHADOW] * skin[SHADOW]
            r += (skin[SHADOW_COLOUR] - r) * k1
            g += (skin[SHADOW_COLOUR + 1] - g) * k1
            b += (skin[SHADOW_COLOUR + 2] - b) * k1
            lip = m8[MASK_LIPS]
            k1 = lip * skin[LIPS]
            texture = one + np.float32(0.5) * fine
            r += (skin[LIP_COLOUR] * texture - r) * k1
            g += (skin[LIP_COLOUR + 1] * texture - g) * k1
            b += (skin[LIP_COLOUR + 2] * texture - b) * k1
            k1 = one - m8[MASK_LINER] * skin[LINER]
            r *= k1
            g *= k1
            b *= k1
            k1 = (
                min(max((m8[MASK_BEARD] + np.float32(0.6) * fine) * skin[STUBBLE], np.float32(0.0)), np.float32(0.95))
                * m8[MASK_BEARD]
            )
            if skin[SCALP] > 0:
                k2 = m8[MASK_SCALP] - skin[HAIRLINE] + np.float32(0.25) * coarse + np.float32(0.2) * fine
                k2 = min(max(k2 * np.float32(6.0), np.float32(0.0)), one) * skin[SCALP]
                k1 = max(k1, k2)
            if k1 > 0:
                texture = one + fine
                r += (skin[HAIR_COLOUR] * texture - r) * k1
                g += (skin[HAIR_COLOUR + 1] * texture - g) * k1
                b += (skin[HAIR_COLOUR + 2] * texture - b) * k1
            if skin[BROW] > 0 and tu < np.float32(0.5):
                su, sv = tu * np.float32(2.0) + skin[BROW_SHIFT], tv + skin[BROW_SHIFT + 1]
                layer = int(skin[BROW_LAYER])
                bi, bj, bfi, bfj = _taps(su, sv, brows.shape[2], brows.shape[1])
                k1 = (brows[layer, bi, bj] * (one - bfj) + brows[layer, bi, bj + 1] * bfj) * (one - bfi) + (
                    brows[layer, bi + 1, bj] * (one - bfj) + brows[layer, bi + 1, bj + 1] * bfj
                ) * bfi
                k1 = min(k1 * inv255 * skin[BROW], np.float32(0.97))
                r += (skin[BROW_COLOUR] - r) * k1
                g += (skin[BROW_COLOUR + 1] - g) * k1
                b += (skin[BROW_COLOUR + 2] - b) * k1
            if skin[OVERLAY] > 0:
                oi, oj, ofi, ofj = _taps(tu, tv, overlay.shape[1], overlay.shape[0])
                k1 = np.float32(0.0)
                strongest, si, sj = np.float32(0.0), oi, oj
                for di in range(2):
                    for dj in range(2):
                        k2 = (ofi if di else one - ofi) * (ofj if dj else one - ofj) * overlay[oi + di, oj + dj, 3]
                        k1 += k2
                        if k2 > strongest:
                            strongest, si, sj = k2, oi + di, oj + dj
                k1 *= inv255
                if k1 > 0:  # the colour of the strongest: unpainted texels have none
                    r += (to_linear[overlay[si, sj, 0]] - r) * k1
                    g += (to_linear[overlay[si, sj, 1]] - g) * k1
                    b += (to_linear[overlay[si, sj, 2]] - b) * k1
            # Bump along the texture's axes.
            d1u = corner_uv[t, 1, 0] - corner_uv[t, 0, 0]
            d1v = corner_uv[t, 1, 1] - corner_uv[t, 0, 1]
            d2u = corner_uv[t, 2, 0] - corner_uv[t, 0, 0]
            d2v = corner_uv[t, 2, 1] - corner_uv[t, 0, 1]
            det = d1u * d2v - d2u * d1v
            if det != 0:
                p1x, p1y, p1z = bx - ax, by - ay, bz - az
                p2x, p2y, p2z = gx - ax, gy - ay, gz - az
                sign = one if det > 0 else -one
                tx, ty, tz = d2v * p1x - d1v * p2x, d2v * p1y - d1v * p2y, d2v * p1z - d1v * p2z
                qx, qy, qz = d1u * p2x - d2u * p1x, d1u * p2y - d2u * p1y, d1u * p2z - d2u * p1z
                lt = sign / math.sqrt(tx * tx + ty * ty + tz * tz + np.float32(1e-20))
                lq = sign / math.sqrt(qx * qx + qy * qy + qz * qz + np.float32(1e-20))
                if np.float32(0.032) < Y:
                    crease = skin[CREASES]
                elif np.float32(0.006) < Y and abs(X) < np.float32(0.016):
                    crease = skin[CREASES + 1]
                elif np.float32(-0.027) < Y:
                    crease = skin[CREASES + 2]
                else:
                    crease = skin[CREASES + 3]
                crease += skin[WRINKLES]
                du = (noise[ni, nj, 2] * inv255 - np.float32(0.5)) * skin[PORES]
                du += (m8[MASK_WRINKLE_U] - np.float32(0.502)) * crease
                dv = (noise[ni, nj, 3] * inv255 - np.float32(0.5)) * skin[PORES]
                dv += (m8[MASK_WRINKLE_V] - np.float32(0.502)) * crease
                nx -= du * tx * lt + dv * qx * lq
                ny -= du * ty * lt + dv * qy * lq
                nz -= du * tz * lt + dv * qz * lq
                length = one / math.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-12))
                nx *= length
                ny *= length
                nz *= length
            specular = skin[OIL] * (one + lip * skin[LIP_GLOSS])
            shine = skin[GLOSS] * (one + lip * skin[LIP_GLOSS])
            scatter = skin[SCATTER]

        elif kind == EYE:
            lx, ly, lz = X - table[m, CENTRE], Y - table[m, CENTRE + 1], Z - table[m, CENTRE + 2]
            length = one / math.sqrt(lx * lx + ly * ly + lz * lz + np.float32(1e-12))
            lx *= length
            ly *= length
            lz *= length
            angle = math.sqrt(lx * lx + ly * ly) if lz > 0 else np.float32(2.0)
            iris = angle / table[m, IRIS_SIZE]
            turn = (math.atan2(ly, lx) + np.float32(math.pi)) * np.float32(0.5 / math.pi)
            vi = int(turn * np.float32(2.0) * noise_side) & mask
            vj = int(angle * np.float32(0.6) * noise_side) & mask
            vein = max(noise[vi, vj, 1] * inv255 - np.float32(0.5), np.float32(0.0)) * table[m, REDNESS]
            pink = table[m, REDNESS] * min(angle * angle, one)
            r *= one - np.float32(0.15) * vein
            g *= one - np.float32(0.9) * vein - np.float32(0.25) * pink
            b *= one - np.float32(0.9) * vein - np.float32(0.25) * pink
            if iris < np.float32(1.12):
                layer = int(table[m, IRIS_LAYER])
                qr, qg, qb = table[m, SECOND], table[m, SECOND + 1], table[m, SECOND + 2]
                pupil = table[m, PUPIL_SIZE]
                along = min(max((iris - pupil) / (one - pupil), np.float32(0.0)), one)
                if layer >= 0:
                    ti = int(turn * irises.shape[1]) % irises.shape[1]
                    tj = min(int(along * irises.shape[2]), irises.shape[2] - 1)
                    qr = to_linear[irises[layer, ti, tj, 0]]
                    qg = to_linear[irises[layer, ti, tj, 1]]
                    qb = to_linear[irises[layer, ti, tj, 2]]
                else:
                    ti = int(turn * np.float32(3.0) * noise_side) & mask
                    tj = int(along * np.float32(0.3) * noise_side) & mask
                    k1 = np.float32(0.55) + np.float32(0.9) * noise[ti, tj, 0] * inv255
                    qr, qg, qb = qr * k1, qg * k1, qb * k1
                ring = min(max((iris - np.float32(0.8)) * np.float32(5.0), np.float32(0.0)), one)
                k1 = one - np.float32(0.6) * ring
                if iris < pupil:
                    k1 = np.float32(0.04)
                elif iris < pupil * np.float32(1.15):
                    k1 *= np.float32(0.5)
                qr, qg, qb = qr * k1, qg * k1, qb * k1
                edge = min(max((np.float32(1.06) - iris) * np.float32(9.0), np.float32(0.0)), one)
                r += (qr - r) * edge
                g += (qg - g) * edge
                b += (qb - b) * edge
            wet = np.float32(1.0)

        elif kind == TOOTH or kind == MOUTH:  # noqa: SIM109
            deep = min(max((Z - table[m, FRONT]) * np.float32(24.0) + one, np.float32(0.13)), one)
            ao = deep * ao
            ti = int(abs(X * np.float32(3000.0) + Z * np.float32(1000.0))) & mask
            tj = int(abs(Y * np.float32(3000.0))) & mask
            k1 = one + table[m, AMOUNT] * (noise[ti, tj, 0] * inv255 - np.float32(0.5))
            r *= k1
            g *= k1
            b *= k1
            wet = np.float32(0.5)

        elif kind == HAIR:
            layer = int(table[m, TEXTURE])
            if layer >= 0:
                tu = u * corner_uv[t, 0, 0] + v * corner_uv[t, 1, 0] + w * corner_uv[t, 2, 0]
                tv = u * corner_uv[t, 0, 1] + v * corner_uv[t, 1, 1] + w * corner_uv[t, 2, 1]
                i = min(max(int((one - tv) * hair_textures.shape[1]), 0), hair_textures.shape[1] - 1)
                j = min(max(int(tu * hair_textures.shape[2]), 0), hair_textures.shape[2] - 1)
                k1 = np.float32(0.35) + np.float32(1.3) * hair_textures[layer, i, j] * inv255
            else:
                k1 = np.float32(0.9)
            # Streaks: fast round the head, slow along the strand.
            turn = math.atan2(X, Z + np.float32(0.04)) * table[m, PATTERN] * np.float32(0.006)
            along = (Y + np.float32(0.3) * X) * table[m, PATTERN] * np.float32(0.012)
            ti = math.floor(along * noise_side) & mask
            tj = math.floor(turn * noise_side) & mask
            k1 *= one + table[m, AMOUNT] * np.float32(1.6) * (noise[ti, tj, 0] * inv255 - np.float32(0.5))
            k2 = min(max(noise[ti, tj, 1] * inv255, np.float32(0.0)), one)
            r = (r + (table[m, SECOND] - r) * k2) * k1
            g = (g + (table[m, SECOND + 1] - g) * k2) * k1
            b = (b + (table[m, SECOND + 2] - b) * k2) * k1
            hair_spec = specular * k1
            scatter = np.float32(0.3)

        else:  # CLOTH, PLAIN
            f = table[m, PATTERN]
            k1 = np.float32(0.0)
            stripe = int(table[m, STRIPE])
            if stripe == 1:
                q = (Y + np.float32(0.2) * Z) * f
                k1 = one if (q - math.floor(q)) < 0.5 else np.float32(0.0)
            elif stripe == 2:
                q, q2 = X * f, Y * f
                k1 = np.float32(0.5) if (q - math.floor(q)) < 0.5 else np.float32(0.0)
                k1 += np.float32(0.5) if (q2 - math.floor(q2)) < 0.5 else np.float32(0.0)
            elif stripe == 0:
                q, q2 = (X + Z) * f * np.float32(0.1), Y * f * np.float32(0.1)
                ti = math.floor(q2 * noise_side) & mask
                tj = math.floor(q * noise_side) & mask
                k1 = noise[ti, tj, 1] * inv255
            k1 *= table[m, AMOUNT]
            r += (table[m, SECOND] - r) * k1
            g += (table[m, SECOND + 1] - g) * k1
            b += (table[m, SECOND + 2] - b) * k1
            if kind == CLOTH:
                q, q2 = (X + Z) * np.float32(60.0), Y * np.float32(60.0)
                ti = math.floor(q2 * noise_side) & mask
                tj = math.floor(q * noise_side) & mask
                k1 = np.float32(0.75) + np.float32(0.5) * noise[ti, tj, 0] * inv255
                r *= k1
                g *= k1
                b *= k1

        surface[s, ALBEDO], surface[s, ALBEDO + 1], surface[s, ALBEDO + 2] = r, g, b
        surface[s, NORMAL], surface[s, NORMAL + 1], surface[s, NORMAL + 2] = nx, ny, nz
        surface[s, DEPTH] = u * az + v * bz + w * gz
        surface[s, FACING], surface[s, OPEN] = facing, ao
        surface[s, GLANCE], surface[s, SHARP], surface[s, SOFT] = specular, shine, scatter
        surface[s, STRAND], surface[s, WET] = hair_spec, wet
