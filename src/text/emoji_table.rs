//! The emoji facts that no crate has: Skype's names, the short names of old portals, Slack's deviations. Data only, in the
//! order of `botframework.md` §6.5; how they are searched is `emoji`'s and `shortnames`' affair.

/// Table A: `<ss type>`, bare codes of three letters and more (without brackets), emoji.
#[rustfmt::skip]
pub(super) const TABLE_A: &[(&str, &str, &str)] = &[
    ("smile", "smile", "🙂"), ("sad", "sad", "🙁"), ("laugh", "laugh lol", "😃"),
    ("cool", "cool", "😎"), ("surprised", "surprised", "😮"), ("wink", "wink", "😉"),
    ("cry", "cry", "😢"), ("sweat", "sweat", "😓"), ("speechless", "speechless", "😐"),
    ("kiss", "kiss", "😘"), ("tongueout", "tongueout", "😛"), ("blush", "blush", "😊"),
    ("wonder", "wonder", "🙄"), ("sleepy", "snooze sleepy", "😴"), ("dull", "dull", "😑"),
    ("inlove", "inlove love", "😍"), ("eg", "evilgrin evil grin", "😈"), ("puke", "puke", "🤮"),
    ("angry", "angry", "😡"), ("wasntme", "wasntme", "😇"), ("party", "party", "🥳"),
    ("worry", "worry worried", "😟"), ("mmm", "mmm mmmm", "😋"), ("nerdy", "nerd nerdy", "🤓"),
    ("lipssealed", "lipssealed", "🤐"), ("devil", "devil", "👿"), ("angel", "angel", "😇"),
    ("envy", "envy", "😒"), ("makeup", "makeup kate", "💄"), ("movember", "movember november moustache mustache bowman", "🥸"),
    ("think", "think", "🤔"), ("rofl", "rofl rotfl", "🤣"), ("waiting", "waiting forever impatience", "⏳"),
    ("fingerscrossed", "fingers fingerscrossed crossedfingers", "🤞"), ("hi", "wave bye", "👋"), ("facepalm", "facepalm fail", "🤦"),
    ("giggle", "chuckle giggle", "🤭"), ("whew", "whew phew relieved", "😌"), ("highfive", "highfive hifive", "✋"),
    ("call", "call", "🤙"), ("headbang", "headbang banghead", "😖"), ("idea", "idea", "💡"),
    ("lalala", "lalala lalalala lala notlistening", "🙉"), ("punch", "punch", "👊"), ("heart", "heart", "❤"),
    ("brokenheart", "brokenheart", "💔"), ("yes", "yes", "👍"), ("no", "", "👎"),
    ("ok", "okay", "👌"), ("fistbump", "fistbump", "🤜"), ("praying", "pray praying namaste", "🙏"),
    ("poke", "poke nudge", "👉"), ("handsinair", "celebrate celebration handsinair hia", "🙌"), ("muscle", "flex muscle", "💪"),
    ("man", "man male boy", "👨"), ("woman", "woman female girl", "👩"), ("gottarun", "gottarun gtr run", "🏃"),
    ("stop", "stop", "🛑"), ("dance", "dance", "💃"), ("bertlett", "bartlett football soccer", "⚽"),
    ("bike", "bike bicycle sander", "🚲"), ("ninja", "ninja", "🥷"), ("cat", "cat meow kitty", "🐱"),
    ("dog", "dog", "🐶"), ("monkey", "monkey ape", "🐵"), ("hug", "hug bear", "🤗"),
    ("heidy", "heidy squirrel", "🐿"), ("snail", "snail", "🐌"), ("sheep", "sheep bah", "🐑"),
    ("flower", "flower", "🌸"), ("goodluck", "goodluck", "🍀"), ("sun", "sun", "☀"),
    ("island", "island", "🏝"), ("rain", "rain london", "🌧"), ("umbrella", "umbrella", "☔"),
    ("rainbow", "rainbow", "🌈"), ("star", "star", "⭐"), ("pizza", "pizza", "🍕"),
    ("cake", "cake", "🎂"), ("coffee", "coffee", "☕"), ("beer", "beer bricklayers", "🍺"),
    ("drink", "drink", "🍸"), ("cheese", "cheese stink", "🧀"), ("canyoutalk", "canyoutalk", "📞"),
    ("camera", "camera", "📷"), ("plane", "plane airplane aeroplane aircraft jet", "✈"), ("car", "car", "🚗"),
    ("computer", "computer", "💻"), ("wfh", "wfh", "🏠"), ("brb", "brb berightback", "🔙"),
    ("games", "games ply play playbox", "🎮"), ("phone", "phone", "📱"), ("gift", "gift", "🎁"),
    ("holdon", "holdon", "✋"), ("letsmeet", "letsmeet calendar", "📅"), ("mail", "mail", "📧"),
    ("confidential", "confidential", "🔒"), ("cash", "cash", "💰"), ("bomb", "bomb explosion explode", "💣"),
    ("movie", "film movie", "🎬"), ("music", "music", "🎵"), ("time", "time clock", "⏰"),
    ("whatsgoingon", "whatsgoingon", "⁉"), ("poolparty", "poolparty hrv", "🏊"), ("smoke", "smoking smoke", "🚬"),
    ("priidu", "zilmer priidu", "📸"), ("pumpkin", "pumpkin halloween", "🎃"), ("ladyvampire", "ladyvamp ladyvampire", "🧛"),
    ("cwl", "cwl cryingwithlaughter", "😂"), ("sarcastic", "sarcastic sarcasm slowclap", "👏"), ("muscleman", "muscleman fatguy", "💪"),
];

/// List B: type, which is the bare code too, and emoji.
#[rustfmt::skip]
pub(super) const LIST_B: &[(&str, &str)] = &[
    ("yawn", "🥱"), ("doh", "🤦"), ("happy", "😀"), ("smirk", "😏"), ("nod", "👍"), ("shake", "👎"),
    ("emo", "😔"), ("wait", "✋"), ("clap", "👏"), ("tmi", "🙉"), ("rock", "🤘"), ("swear", "🤬"),
    ("talk", "💬"), ("talktothehand", "✋"), ("bandit", "🕵"), ("learn", "🎓"), ("handshake", "🤝"), ("victory", "✌"),
    ("bow", "🙇"), ("bug", "🐛"), ("tumbleweed", "🍂"), ("fireworks", "🎆"), ("drunk", "🥴"), ("finger", "🖕"),
    ("ghost", "👻"), ("zombie", "🧟"), ("vampire", "🧛"), ("skull", "💀"), ("anger", "😡"), ("disgust", "🤢"),
    ("joy", "😄"), ("sadness", "😢"), ("fear", "😱"), ("lips", "💋"), ("footballfail", "⚽"), ("yoga", "🧘"),
];

/// List C: newer types that are no words worth converting outside `<ss>`.
#[rustfmt::skip]
pub(super) const LIST_C: &[(&str, &str)] = &[
    ("happyeyes", "😄"), ("xd", "😆"), ("sweatgrinning", "😅"), ("smileeyes", "😊"), ("stareyes", "🤩"),
    ("winktongueout", "😜"), ("huggingface", "🤗"), ("ill", "🤒"), ("shivering", "🥶"), ("cold", "🥶"),
    ("freezing", "🥶"), ("loudlycrying", "😭"), ("screamingfear", "😱"), ("veryconfused", "😕"), ("smilerobot", "🤖"),
    ("sadcat", "😿"), ("bang", "💥"), ("dizzysymbol", "💫"), ("speechbubble", "💬"), ("angryspeechbubble", "🗯"),
    ("thoughtbubble", "💭"), ("smilebaby", "👶"), ("smileboy", "👦"), ("smilegirl", "👧"), ("smileman", "👨"),
    ("smilewoman", "👩"), ("gran", "👵"), ("womanshrug", "🤷"), ("manshrug", "🤷"), ("holdinghands", "👫"),
    ("unicornhead", "🦄"), ("reindeer", "🦌"), ("bearface", "🐻"), ("frogface", "🐸"), ("tortoise", "🐢"),
    ("ladybird", "🐞"), ("fallingleaf", "🍂"), ("chilipepper", "🌶"), ("baguette", "🥖"), ("pancake", "🥞"),
    ("chickenleg", "🍗"), ("steak", "🥩"), ("burger", "🍔"), ("salad", "🥗"), ("noodles", "🍜"),
    ("cookies", "🍪"), ("cakeslice", "🍰"), ("chocolate", "🍫"), ("honey", "🍯"), ("milk", "🥛"),
    ("redwine", "🍷"), ("cheers", "🍻"), ("dinner", "🍽"), ("scooter", "🛵"), ("goldmedal", "🥇"),
    ("silvermedal", "🥈"), ("bronzemedal", "🥉"), ("rugbyball", "🏉"), ("target", "🎯"), ("eightball", "🎱"),
    ("painting", "🎨"), ("diamond", "💎"), ("redbook", "📕"), ("page", "📄"), ("outbox", "📤"),
    ("inbox", "📥"), ("folder", "📁"), ("openfolder", "📂"), ("lockandkey", "🔐"), ("swords", "⚔"),
    ("scales", "⚖"), ("lotion", "🧴"), ("toiletpaper", "🧻"), ("trolley", "🛒"), ("peace", "☮"),
    ("atom", "⚛"), ("refresh", "🔄"), ("questionmark", "❓"), ("exclamationmark", "❗"), ("multiplicationsign", "✖"),
    ("plussign", "➕"), ("minussign", "➖"), ("divisionsign", "➗"), ("like", "👍"), ("happyface", "🙂"),
    ("hysterical", "😂"), ("rainbowsmile", "🌈"), ("loveearth", "🌍"), ("morningafter", "😵"), ("hungover", "😵"),
    ("ttm", "🗣"), ("bla", "🗣"), ("tired", "😫"), ("xmas", "🎅"), ("christmas", "🎅"),
    ("festiveparty", "🎉"), ("listening", "👂"), ("whistle", "😗"), ("dropthemic", "🎤"), ("bottlefeeding", "🍼"),
    ("womanblowkiss", "😘"), ("manblowkiss", "😘"), ("womanaward", "🏆"), ("manaward", "🏆"), ("winner", "🏆"),
    ("slamdunk", "🏀"), ("skate", "⛸"), ("womanfootball", "⚽"), ("tennisfail", "🎾"), ("disco", "💃"),
    ("witch", "🧙"), ("hotchocolate", "☕"), ("xmaswoman", "🤶"), ("xmasman", "🎅"), ("penguinkiss", "🐧"),
    ("polarbear", "🐻"), ("acorn", "🌰"), ("snowangel", "⛄"), ("pizzaslice", "🍕"), ("xmasheart", "❤"),
    ("piggybank", "🐷"), ("prideheart", "🌈"), ("iheartu", "❤"), ("mumheart", "❤"), ("slipper", "👡"),
    ("deadyes", "👍"), ("xmasyes", "👍"), ("dracula", "🧛"), ("thanks", "🙏"), ("ontheloo", "🚽"),
    ("teams", "👥"), ("diwali", "🪔"), ("santamooning", "🎅"),
];

/// Emoji outside the set of old portals and the short name that stands in.
#[rustfmt::skip]
pub(super) const FALLBACKS: &[(&str, &str)] = &[
    ("🤮", "nauseated_face"), ("🥳", "tada"), ("🥸", "man"), ("🤭", "smile"), ("🥷", "bust_in_silhouette"),
    ("🧛", "smiling_imp"), ("🥱", "sleepy"), ("🤬", "triumph"), ("🥴", "dizzy_face"), ("🧟", "skull"),
    ("🧘", "pray"), ("👨‍👩‍👦", "family"),
];

/// Short names of old portals that differ from the first GitHub one, by hexadecimal code points.
#[rustfmt::skip]
pub(super) const OWN_NAMES: &[(&str, &str)] = &[
    ("1f949", "third_place"), ("1f948", "second_place"), ("1f947", "first_place"), ("1f93a", "fencer"),
    ("1f93e", "handball"), ("1f939", "juggling"), ("1f938", "cartwheel"), ("1f6f4", "scooter"),
    ("1f942", "champagne_glass"), ("1f306", "city_dusk"), ("1f91e", "fingers_crossed"), ("1f373", "cooking"),
    ("1f91b", "left_facing_fist"), ("1f91c", "right_facing_fist"), ("1f935", "man_in_tuxedo"), ("1f920", "cowboy"),
    ("1f41e", "beetle"), ("1f470", "bride_with_veil"), ("1f471", "person_with_blond_hair"), ("1f473", "man_with_turban"),
    ("1f482", "guardsman"), ("1f646", "ok_woman"), ("1f64d", "person_frowning"), ("1f64e", "person_with_pouting_face"),
    ("1f39e", "film_frames"), ("1f3c5", "medal"), ("1f3cb", "lifter"), ("1f3cc", "golfer"),
    ("1f396", "military_medal"), ("1f32a", "cloud_tornado"), ("1f32c", "wind_blowing_face"), ("1f3f3", "flag_white"),
    ("1f3f4", "flag_black"), ("1f4f8", "camera_with_flash"), ("1f549", "om_symbol"), ("1f570", "clock"),
    ("1f58a", "pen_ballpoint"), ("1f58b", "pen_fountain"), ("1f5bc", "frame_photo"), ("1f5d2", "notepad_spiral"),
    ("1f5d3", "calendar_spiral"), ("1f5dc", "compression"), ("1f5de", "newspaper2"), ("1f6cc", "sleeping_accommodation"),
    ("1f6f0", "satellite_orbital"), ("1f37d", "fork_knife_plate"), ("1f574", "levitate"), ("1f575", "spy"),
    ("1f596", "vulcan"), ("1f3d6", "beach"), ("1f3d8", "homes"), ("1f3da", "house_abandoned"),
    ("1f6cd", "shopping_bags"), ("1f6e5", "motorboat"), ("1f6eb", "airplane_departure"), ("1f6ec", "airplane_arriving"),
    ("1f468-1f468-1f466", "family_mmb"), ("1f468-1f468-1f466-1f466", "family_mmbb"), ("1f468-1f468-1f467", "family_mmg"), ("1f468-1f468-1f467-1f466", "family_mmgb"),
    ("1f468-1f468-1f467-1f467", "family_mmgg"), ("1f468-1f469-1f466-1f466", "family_mwbb"), ("1f468-1f469-1f467", "family_mwg"), ("1f468-1f469-1f467-1f466", "family_mwgb"),
    ("1f468-1f469-1f467-1f467", "family_mwgg"), ("1f469-1f469-1f466", "family_wwb"), ("1f469-1f469-1f466-1f466", "family_wwbb"), ("1f469-1f469-1f467", "family_wwg"),
    ("1f469-1f469-1f467-1f466", "family_wwgb"), ("1f469-1f469-1f467-1f467", "family_wwgg"), ("1f469-2764-1f469", "couple_ww"), ("1f468-2764-1f468", "couple_mm"),
    ("1f469-2764-1f48b-1f469", "kiss_ww"), ("1f468-2764-1f48b-1f468", "kiss_mm"), ("23cf", "eject"), ("23ed", "track_next"),
    ("23ee", "track_previous"), ("23ef", "play_pause"), ("1f441-1f5e8", "eye_in_speech_bubble"), ("2602", "umbrella2"),
    ("2603", "snowman2"), ("2639", "frowning2"), ("2696", "scales"), ("269c", "fleur-de-lis"),
    ("26c8", "thunder_cloud_rain"), ("26d1", "helmet_with_cross"), ("26f1", "beach_umbrella"), ("26f9", "basketball_player"),
    ("2763", "heart_exclamation"), ("1f324", "white_sun_small_cloud"), ("1f325", "white_sun_cloud"), ("1f326", "white_sun_rain_cloud"),
    ("1f5b1", "mouse_three_button"), ("1f917", "hugging"), ("1f644", "rolling_eyes"), ("1f3cf", "cricket"),
    ("1f3d2", "hockey"), ("1f95b", "milk"), ("1f95d", "kiwi"), ("1f535", "blue_circle"),
];

/// Emoji whose other GitHub name is the one that old portals know.
#[rustfmt::skip]
pub(super) const OTHER_NAMES: &[(&str, &str)] = &[
    ("✋", "raised_hand"), ("✊", "fist"), ("👊", "punch"), ("💁", "information_desk_person"), ("👮", "cop"), ("💃", "dancer"),
    ("🔪", "knife"), ("🚗", "red_car"), ("⛵", "sailboat"), ("🌔", "waxing_gibbous_moon"), ("☎", "telephone"), ("📝", "pencil"),
];

/// More aliases of the portal's set: short name and emoji.
#[rustfmt::skip]
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("slight_smile", "🙂"), ("slight_frown", "🙁"), ("smiley", "😃"), ("sunglasses", "😎"), ("open_mouth", "😮"), ("wink", "😉"),
    ("cry", "😢"), ("sweat", "😓"), ("neutral_face", "😐"), ("kissing_heart", "😘"), ("stuck_out_tongue", "😛"), ("blush", "😊"),
    ("rolling_eyes", "🙄"), ("sleeping", "😴"), ("expressionless", "😑"), ("heart_eyes", "😍"), ("smiling_imp", "😈"), ("nauseated_face", "🤢"),
    ("rage", "😡"), ("innocent", "😇"), ("tada", "🎉"), ("worried", "😟"), ("yum", "😋"), ("nerd", "🤓"),
    ("zipper_mouth", "🤐"), ("imp", "👿"), ("unamused", "😒"), ("lipstick", "💄"), ("man", "👨"), ("thinking", "🤔"),
    ("rofl", "🤣"), ("hourglass_flowing_sand", "⏳"), ("fingers_crossed", "🤞"), ("wave", "👋"), ("face_palm", "🤦"), ("smile", "😄"),
    ("relieved", "😌"), ("raised_hand", "✋"), ("call_me", "🤙"), ("confounded", "😖"), ("bulb", "💡"), ("hear_no_evil", "🙉"),
    ("punch", "👊"), ("heart", "❤"), ("broken_heart", "💔"), ("thumbsup", "👍"), ("thumbsdown", "👎"), ("ok_hand", "👌"),
    ("right_facing_fist", "🤜"), ("pray", "🙏"), ("point_right", "👉"), ("raised_hands", "🙌"), ("muscle", "💪"), ("woman", "👩"),
    ("runner", "🏃"), ("octagonal_sign", "🛑"), ("dancer", "💃"), ("soccer", "⚽"), ("bike", "🚲"), ("bust_in_silhouette", "👤"),
    ("cat", "🐱"), ("dog", "🐶"), ("monkey_face", "🐵"), ("hugging", "🤗"), ("chipmunk", "🐿"), ("snail", "🐌"),
    ("sheep", "🐑"), ("cherry_blossom", "🌸"), ("four_leaf_clover", "🍀"), ("sunny", "☀"), ("island", "🏝"), ("cloud_rain", "🌧"),
    ("umbrella", "☔"), ("rainbow", "🌈"), ("star", "⭐"), ("pizza", "🍕"), ("birthday", "🎂"), ("coffee", "☕"),
    ("beer", "🍺"), ("cocktail", "🍸"), ("cheese", "🧀"), ("telephone_receiver", "📞"), ("camera", "📷"), ("airplane", "✈"),
    ("red_car", "🚗"), ("computer", "💻"), ("house", "🏠"), ("back", "🔙"), ("video_game", "🎮"), ("iphone", "📱"),
    ("gift", "🎁"), ("date", "📅"), ("e-mail", "📧"), ("lock", "🔒"), ("moneybag", "💰"), ("bomb", "💣"),
    ("clapper", "🎬"), ("musical_note", "🎵"), ("alarm_clock", "⏰"), ("interrobang", "⁉"), ("swimmer", "🏊"), ("smoking", "🚬"),
    ("camera_with_flash", "📸"), ("jack_o_lantern", "🎃"), ("joy", "😂"), ("clap", "👏"), ("sleepy", "😪"), ("grinning", "😀"),
    ("smirk", "😏"), ("pensive", "😔"), ("metal", "🤘"), ("triumph", "😤"), ("speech_balloon", "💬"), ("spy", "🕵"),
    ("mortar_board", "🎓"), ("handshake", "🤝"), ("v", "✌"), ("bow", "🙇"), ("bug", "🐛"), ("fallen_leaf", "🍂"),
    ("fireworks", "🎆"), ("dizzy_face", "😵"), ("middle_finger", "🖕"), ("ghost", "👻"), ("skull", "💀"), ("scream", "😱"),
    ("kiss", "💋"),
    ("rolling_on_the_floor_laughing", "🤣"), ("hugging_face", "🤗"), ("thinking_face", "🤔"),
    ("face_with_rolling_eyes", "🙄"), ("drool", "🤤"), ("upside_down", "🙃"), ("money_mouth", "🤑"),
    ("white_frowning_face", "☹"), ("face_with_cowboy_hat", "🤠"), ("clown", "🤡"), ("liar", "🤥"),
    ("thermometer_face", "🤒"), ("head_bandage", "🤕"), ("sick", "🤢"), ("sneeze", "🤧"), ("skeleton", "💀"),
    ("skull_crossbones", "☠"), ("robot_face", "🤖"), ("poo", "💩"), ("grandma", "👵"), ("sleuth_or_spy", "🕵"),
    ("mother_christmas", "🤶"), ("expecting_woman", "🤰"), ("male_dancer", "🕺"),
    ("man_in_business_suit_levitating", "🕴"), ("speaking_head_in_silhouette", "🗣"), ("fencing", "🤺"),
    ("person_with_ball", "⛹"), ("weight_lifter", "🏋"), ("race_car", "🏎"), ("racing_motorcycle", "🏍"),
    ("person_doing_cartwheel", "🤸"), ("wrestlers", "🤼"), ("juggler", "🤹"), ("couplekiss_mm", "👨‍❤️‍💋‍👨"),
    ("couplekiss_ww", "👩‍❤️‍💋‍👩"), ("couple_with_heart_mm", "👨‍❤️‍👨"), ("couple_with_heart_ww", "👩‍❤️‍👩"),
    ("reversed_hand_with_middle_finger_extended", "🖕"), ("hand_with_index_and_middle_finger_crossed", "🤞"),
    ("raised_hand_with_part_between_middle_and_ring_fingers", "🖖"), ("sign_of_the_horns", "🤘"), ("hand_splayed", "🖐"),
    ("thumbup", "👍"), ("thumbdown", "👎"), ("left_fist", "🤛"), ("right_fist", "🤜"), ("back_of_hand", "🤚"),
    ("shaking_hands", "🤝"), ("heavy_heart_exclamation_mark_ornament", "❣"), ("speech_left", "🗨"),
    ("anger_right", "🗯"), ("helmet_with_white_cross", "⛑"), ("fox", "🦊"), ("lion_face", "🦁"), ("unicorn_face", "🦄"),
    ("rhino", "🦏"), ("dove_of_peace", "🕊"), ("wilted_rose", "🥀"), ("kiwifruit", "🥝"), ("shelled_peanut", "🥜"),
    ("french_bread", "🥖"), ("cheese_wedge", "🧀"), ("hot_dog", "🌭"), ("stuffed_pita", "🥙"), ("paella", "🥘"),
    ("salad", "🥗"), ("pudding", "🍮"), ("flan", "🍮"), ("glass_of_milk", "🥛"), ("bottle_with_popping_cork", "🍾"),
    ("clinking_glass", "🥂"), ("whisky", "🥃"), ("fork_and_knife_with_plate", "🍽"), ("map", "🗺"),
    ("snow_capped_mountain", "🏔"), ("beach_with_umbrella", "🏖"), ("park", "🏞"), ("construction_site", "🏗"),
    ("house_buildings", "🏘"), ("derelict_house_building", "🏚"), ("frame_with_picture", "🖼"), ("motorbike", "🛵"),
    ("railroad_track", "🛤"), ("kayak", "🛶"), ("cruise_ship", "🛳"), ("airplane_small", "🛩"), ("bellhop", "🛎"),
    ("couch", "🛋"), ("timer", "⏲"), ("mantlepiece_clock", "🕰"), ("thunder_cloud_and_rain", "⛈"),
    ("white_sun_with_small_cloud", "🌤"), ("white_sun_behind_cloud", "🌥"), ("white_sun_behind_cloud_with_rain", "🌦"),
    ("cloud_snow", "🌨"), ("cloud_lightning", "🌩"), ("cloud_with_tornado", "🌪"), ("umbrella_on_ground", "⛱"),
    ("flame", "🔥"), ("admission_tickets", "🎟"), ("sports_medal", "🏅"), ("first_place_medal", "🥇"),
    ("second_place_medal", "🥈"), ("third_place_medal", "🥉"), ("cricket_bat_ball", "🏏"), ("table_tennis", "🏓"),
    ("boxing_gloves", "🥊"), ("karate_uniform", "🥋"), ("goal", "🥅"), ("microphone2", "🎙"),
    ("drum_with_drumsticks", "🥁"), ("desktop", "🖥"), ("three_button_mouse", "🖱"), ("projector", "📽"),
    ("rolled_up_newspaper", "🗞"), ("ballot_box_with_ballot", "🗳"), ("lower_left_fountain_pen", "🖋"),
    ("lower_left_ballpoint_pen", "🖊"), ("lower_left_paintbrush", "🖌"), ("lower_left_crayon", "🖍"), ("dividers", "🗂"),
    ("spiral_note_pad", "🗒"), ("spiral_calendar_pad", "🗓"), ("linked_paperclips", "🖇"), ("card_box", "🗃"),
    ("key2", "🗝"), ("hammer_pick", "⚒"), ("tools", "🛠"), ("dagger_knife", "🗡"), ("archery", "🏹"), ("urn", "⚱"),
    ("oil", "🛢"), ("shopping_trolley", "🛒"), ("radioactive_sign", "☢"), ("biohazard_sign", "☣"),
    ("worship_symbol", "🛐"), ("atom", "⚛"), ("cross", "✝"), ("peace", "☮"), ("next_track", "⏭"),
    ("previous_track", "⏮"), ("double_vertical_bar", "⏸"), ("eject_symbol", "⏏"), ("keycap_asterisk", "*️⃣"),
    ("waving_black_flag", "🏴"), ("waving_white_flag", "🏳"), ("gay_pride_flag", "🏳️‍🌈"), ("congo", "🇨🇩"),
    ("saudiarabia", "🇸🇦"), ("saudi", "🇸🇦"), ("tuxedo", "🤵"), ("hand_with_index_and_middle_fingers_crossed", "🤞"),
    ("city_sunset", "🌇"), ("om", "🇴🇲"),
];

/// Slack names that mean something else at GitHub, or nothing.
#[rustfmt::skip]
pub(super) const SLACK_NAMES: &[(&str, &str)] = &[
    ("email", "✉️"), ("satellite", "🛰️"), ("umbrella", "☂️"), ("snowman", "☃️"), ("ok_woman", "🙆‍♀️"),
    ("guardsman", "💂‍♂️"), ("man_with_turban", "👳‍♂️"), ("bride_with_veil", "👰‍♀️"), ("simple_smile", "🙂"), ("the_horns", "🤘"),
    ("hand_splayed", "🖐️"), ("female-doctor", "👩‍⚕️"), ("male-doctor", "👨‍⚕️"),
];

/// The commonest ASCII smileys that portals before 20 turn into emoji, of 126.
#[rustfmt::skip]
pub(super) const SMILEYS: &[(&str, &str)] = &[
    (":)", "🙂"), (":-)", "🙂"), ("=)", "🙂"), (":D", "😃"), (":-D", "😃"), ("=D", "😃"), (";)", "😉"), (";-)", "😉"),
    (":(", "😞"), (":-(", "😞"), ("=(", "😞"), (":'(", "😢"), (":'-(", "😢"), (":')", "😂"), (":P", "😛"), (":-P", "😛"),
    (":p", "😛"), (":-p", "😛"), (":*", "😘"), (":-*", "😘"), (":O", "😮"), (":o", "😮"), (":-O", "😮"), (":-o", "😮"),
    (":/", "😕"), (":-/", "😕"), (":$", "😳"), (">:(", "😠"), ("O:)", "😇"), ("8)", "😎"), ("8-)", "😎"), ("B)", "😎"),
    ("<3", "❤️"), ("</3", "💔"),
];
