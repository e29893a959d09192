"""The shading kernel: colour of every sample of a picture, by kind of material, in linear light.

All directions are in camera space (OpenCV axes). Rows of the material table and of the skin's parameters are named
here, so that the code that fills them and the kernel that reads them cannot disagree.
"""

import math

import numba
import numpy as np

# Kinds of material, column 0 of the table.
SKIN, EYE, TOOTH, MOUTH, HAIR, CLOTH, PLAIN = range(7)

# Columns of the material table (M, MATERIAL_COLUMNS) float32.
KIND = 0
COLOUR = 1  # 1:4 linear albedo
SECOND = 4  # 4:7 second colour of the pattern; the iris for eyes
PATTERN = 7  # pattern's frequency, cycles per metre
AMOUNT = 8  # pattern's contrast 0..1
SPECULAR = 9  # strength of the highlight
SHINE = 10  # exponent of the highlight
TEXTURE = 11  # layer of the hair textures, -1 for streaks of noise
IRIS_SIZE = 12  # eyes: angle of the iris' rim, radians
PUPIL_SIZE = 13  # eyes: pupil over iris
IRIS_LAYER = 14  # eyes: layer of the iris textures, -1 for a procedural one
REDNESS = 15  # eyes: veins and pink
FRONT = 16  # teeth and mouth: canonical z at which light reaches fully, metres
STRIPE = 17  # cloth: 0 noise, 1 stripes, 2 checks
CENTRE = 18  # 18:21 eyes: centre in rest coordinates
MATERIAL_COLUMNS = 21

# Skin parameters, one float32 vector a picture.
GAIN = 0  # 0:3 factor on the texture's albedo
CONTRAST = 3  # contrast of the texture about its mean
MEAN = 4  # 4:7 mean linear albedo of the texture
LIPS = 7  # how far the lips take their colour
LIP_COLOUR = 8  # 8:11
STUBBLE = 11
HAIR_COLOUR = 12  # 12:15 stubble and scalp
SCALP = 15  # how far the scalp takes the hair's colour
HAIRLINE = 16  # threshold on the scalp mask
BROW = 17
BROW_COLOUR = 18  # 18:21
BROW_LAYER = 21
BLUSH = 22
BLUSH_COLOUR = 23  # 23:26
SHADOW = 26  # eye shadow
SHADOW_COLOUR = 27  # 27:30
LINER = 30
PORES = 31  # bump of the pores
PORE_SCALE = 32  # repetitions of the noise over the texture
WRINKLES = 33
OIL = 34  # strength of the highlight
GLOSS = 35  # exponent of the highlight
BLOTCHES = 36
FRECKLES = 37
SCATTER = 38  # how far light wraps round, red
OVERLAY = 39  # 1: the overlay texture is used
LIP_GLOSS = 40
BROW_SHIFT = 41  # 41:43 shift of the brows on the texture
MOUTH_SHADE = 43
SKIN_PARAMETERS = 44

# Channels of the masks texture.
MASK_LIPS, MASK_BEARD, MASK_SCALP, MASK_BLUSH, MASK_SHADOW, MASK_LINER, MASK_WRINKLE_U, MASK_WRINKLE_V = range(8)


@numba.njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def _taps(u, v, width, height):  # type: ignore[no-untyped-def]
    """Texel and weights for a bilinear look-up at u, v in [0, 1] of the texture (v up)."""
    x = u * np.float32(width) - np.float32(0.5)
    y = (np.float32(1.0) - v) * np.float32(height) - np.float32(0.5)
    x = min(max(x, np.float32(0.0)), np.float32(width) - np.float32(1.001))
    y = min(max(y, np.float32(0.0)), np.float32(height) - np.float32(1.001))
    i, j = int(y), int(x)
    return i, j, y - np.float32(i), x - np.float32(j)  # an int would make doubles of all that follows


@numba.njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def _power(base, exponent):  # type: ignore[no-untyped-def]
    """About base ** exponent for a base in [0, 1] (Schlick 1994, A Fast Alternative to Phong's Specular Model), squared
    so that its tail falls off fast enough."""
    q = base / (np.float32(0.5) * exponent * (np.float32(1.0) - base) + base + np.float32(1e-9))
    return q * q


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def shade(  # type: ignore[no-untyped-def]
    count,
    sample_tri,
    sample_xy,
    sample_pixel,
    sample_weight,
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

    vertices, normals (V, 3) camera space; rest (V, 3) coordinates for patterns; occlusion (V,) 0..1; corner_uv
    (T, 3, 2). skin (SKIN_PARAMETERS,); albedo (H, W, 3), masks (H, W, 8), overlay (H', W', 4), brows (L, H, W), noise
    (N, N, 4), hair_textures (L, H, W), irises (L, A, R, 3) uint8; to_linear (256,). sh (9, 3) irradiance / pi; lights
    (L, 3) unit directions towards the light, light_colours (L, 3); the first has a shadow_map (N, N) of nearness.
    down (3,) the head's downward direction, along which hair lies.
    """
    height, width = albedo.shape[0], albedo.shape[1]
    noise_side = np.float32(noise.shape[0])  # a power of two
    mask = noise.shape[0] - 1
    map_side = shadow_map.shape[0]
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
                min(max((m8[MASK_BEARD] + np.float32(0.9) * fine) * skin[STUBBLE], np.float32(0.0)), np.float32(0.95))
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
                du = (noise[ni, nj, 2] * inv255 - np.float32(0.5)) * skin[PORES] + (
                    m8[MASK_WRINKLE_U] - np.float32(0.502)
                ) * skin[WRINKLES]
                dv = (noise[ni, nj, 3] * inv255 - np.float32(0.5)) * skin[PORES] + (
                    m8[MASK_WRINKLE_V] - np.float32(0.502)
                ) * skin[WRINKLES]
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
        position_x = u * ax + v * bx + w * gx
        position_y = u * ay + v * by + w * gy
        position_z = u * az + v * bz + w * gz
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
