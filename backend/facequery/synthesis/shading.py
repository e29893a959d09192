"""What the shading kernels read: columns of the material table, of the skin's parameters and of the masks, by name.

The code that fills them and the kernels that read them (`shade_surface`, `shade_light`) cannot disagree.
"""

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
EXPRESSIVE = 43  # how deep expressions crease the skin
CREASES = 44  # 44:48 bump of forehead, between the brows, round the eyes, smile lines; added to the wrinkles
SKIN_PARAMETERS = 48

# Channels of the masks texture.
MASK_LIPS, MASK_BEARD, MASK_SCALP, MASK_BLUSH, MASK_SHADOW, MASK_LINER, MASK_WRINKLE_U, MASK_WRINKLE_V = range(8)

# Columns of the surface table (samples, SURFACE_COLUMNS) float32, from `shade_surface` to `shade_light`.
ALBEDO = 0  # 0:3 linear
NORMAL = 3  # 3:6 unit, camera space
DEPTH = 6  # metres
FACING = 7  # cosine of the angle to the eye, before the bump
OPEN = 8  # how far the sky reaches
GLANCE = 9  # strength of the highlight
SHARP = 10  # exponent of the highlight
SOFT = 11  # how far light wraps round
STRAND = 12  # strength of the highlight along strands of hair
WET = 13  # strength of the sharp highlight of eyes and teeth
SURFACE_COLUMNS = 14
