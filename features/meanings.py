"""What a feature is called in plain words, in the languages of the report's page."""

from __future__ import annotations

import re

from features.brand import Brand

MEASURES: dict[str, dict[str, str]] = {
    "n_orders": {"en": "orders", "hi": "ऑर्डर", "th": "จำนวนคำสั่งซื้อ"},
    "revenue": {"en": "spent in all", "hi": "कुल ख़र्च", "th": "ยอดซื้อรวม"},
    "mean_order_value": {"en": "value of an order", "hi": "एक ऑर्डर का मूल्य", "th": "มูลค่าต่อคำสั่งซื้อ"},
    "days_since_last_order": {"en": "days since the last order", "hi": "पिछले ऑर्डर के बाद दिन", "th": "วันนับจากซื้อล่าสุด"},
    "tenure_days": {"en": "days known to us", "hi": "परिचय के दिन", "th": "จำนวนวันที่รู้จักกัน"},
    "n_orders_90d": {"en": "orders in 90 days", "hi": "90 दिनों में ऑर्डर", "th": "คำสั่งซื้อใน 90 วัน"},
    "mean_gap_days": {"en": "days between orders", "hi": "ऑर्डरों के बीच दिन", "th": "วันระหว่างคำสั่งซื้อ"},
    "category_entropy": {"en": "variety of categories", "hi": "श्रेणियों की विविधता", "th": "ความหลากหลายของหมวดสินค้า"},
    "n_product_views_90d": {"en": "products viewed in 90 days", "hi": "90 दिनों में देखे उत्पाद", "th": "สินค้าที่ชมใน 90 วัน"},
    "n_add_to_carts_90d": {
        "en": "put in the cart in 90 days",
        "hi": "90 दिनों में कार्ट में डाले",
        "th": "หยิบใส่ตะกร้าใน 90 วัน",
    },
    "n_messages_clicked_90d": {
        "en": "messages clicked in 90 days",
        "hi": "90 दिनों में क्लिक संदेश",
        "th": "ข้อความที่กดใน 90 วัน",
    },
    "n_refunds": {"en": "returns", "hi": "वापसियाँ", "th": "การคืนสินค้า"},
}
_OTHERS: dict[str, dict[str, str]] = {
    "n_order_days": {"en": "days with an order", "hi": "ऑर्डर वाले दिन", "th": "จำนวนวันที่มีคำสั่งซื้อ"},
    "max_order_value": {"en": "largest order", "hi": "सबसे बड़ा ऑर्डर", "th": "คำสั่งซื้อที่มูลค่าสูงสุด"},
    "refunded": {"en": "money refunded", "hi": "लौटाया गया पैसा", "th": "ยอดเงินที่คืน"},
    "sd_gap_days": {
        "en": "unevenness of the days between orders",
        "hi": "ऑर्डरों के बीच दिनों का उतार-चढ़ाव",
        "th": "ความไม่สม่ำเสมอของวันระหว่างคำสั่งซื้อ",
    },
    "basket_size_mean": {"en": "items in an order", "hi": "एक ऑर्डर में चीज़ें", "th": "จำนวนชิ้นต่อคำสั่งซื้อ"},
    "basket_lines_mean": {"en": "products in an order", "hi": "एक ऑर्डर में उत्पाद", "th": "จำนวนสินค้าต่อคำสั่งซื้อ"},
    "n_categories": {"en": "categories ordered from", "hi": "कितनी श्रेणियों से ऑर्डर", "th": "จำนวนหมวดสินค้าที่ซื้อ"},
    "top_category_share": {
        "en": "share of the favourite category",
        "hi": "सबसे पसंदीदा श्रेणी का हिस्सा",
        "th": "สัดส่วนของหมวดที่ซื้อมากที่สุด",
    },
    "second_category_share": {
        "en": "share of the second category",
        "hi": "दूसरी श्रेणी का हिस्सा",
        "th": "สัดส่วนของหมวดที่ซื้อมากเป็นอันดับสอง",
    },
    "price_min": {"en": "lowest price paid", "hi": "सबसे कम चुकाई क़ीमत", "th": "ราคาต่ำสุดที่ซื้อ"},
    "price_mean": {"en": "usual price paid", "hi": "आम तौर पर चुकाई क़ीमत", "th": "ราคาเฉลี่ยที่ซื้อ"},
    "price_max": {"en": "highest price paid", "hi": "सबसे ज़्यादा चुकाई क़ीमत", "th": "ราคาสูงสุดที่ซื้อ"},
    "order_share_weekend": {
        "en": "share of orders at weekends",
        "hi": "सप्ताहांत के ऑर्डरों का हिस्सा",
        "th": "สัดส่วนคำสั่งซื้อช่วงสุดสัปดาห์",
    },
    "order_share_night": {"en": "share of orders at night", "hi": "रात के ऑर्डरों का हिस्सा", "th": "สัดส่วนคำสั่งซื้อกลางดึก"},
    "order_share_morning": {
        "en": "share of orders in the morning",
        "hi": "सुबह के ऑर्डरों का हिस्सा",
        "th": "สัดส่วนคำสั่งซื้อช่วงเช้า",
    },
    "order_share_afternoon": {
        "en": "share of orders in the afternoon",
        "hi": "दोपहर के ऑर्डरों का हिस्सा",
        "th": "สัดส่วนคำสั่งซื้อช่วงบ่าย",
    },
    "order_share_evening": {
        "en": "share of orders in the evening",
        "hi": "शाम के ऑर्डरों का हिस्सा",
        "th": "สัดส่วนคำสั่งซื้อช่วงเย็น",
    },
    "usual_order_weekday": {"en": "usual weekday of orders", "hi": "ऑर्डर का आम दिन", "th": "วันในสัปดาห์ที่มักสั่งซื้อ"},
    "n_events": {"en": "everything they did", "hi": "ग्राहक की सारी गतिविधियाँ", "th": "กิจกรรมทั้งหมดของลูกค้า"},
    "n_product_views": {"en": "products viewed", "hi": "देखे गए उत्पाद", "th": "สินค้าที่ชม"},
    "n_add_to_carts": {"en": "put in the cart", "hi": "कार्ट में डाले गए", "th": "หยิบใส่ตะกร้า"},
    "n_page_views": {"en": "pages viewed", "hi": "देखे गए पेज", "th": "หน้าที่เข้าชม"},
    "n_ad_clicks": {"en": "ads clicked", "hi": "क्लिक किए विज्ञापन", "th": "โฆษณาที่กด"},
    "n_messages_sent": {"en": "messages sent to them", "hi": "भेजे गए संदेश", "th": "ข้อความที่ส่งถึงลูกค้า"},
    "n_messages_opened": {"en": "messages opened", "hi": "खोले गए संदेश", "th": "ข้อความที่เปิดอ่าน"},
    "n_messages_clicked": {"en": "messages clicked", "hi": "क्लिक किए संदेश", "th": "ข้อความที่กด"},
    "n_messages_replied": {"en": "messages replied to", "hi": "जिन संदेशों का जवाब दिया", "th": "ข้อความที่ตอบกลับ"},
    "n_answers": {"en": "questions answered", "hi": "जवाब दिए गए सवाल", "th": "คำถามที่ตอบ"},
    "days_since_first_event": {
        "en": "days since we first saw them",
        "hi": "पहली बार दिखने के बाद दिन",
        "th": "วันนับจากพบกันครั้งแรก",
    },
    "days_since_last_event": {
        "en": "days since they last did anything",
        "hi": "पिछली गतिविधि के बाद दिन",
        "th": "วันนับจากกิจกรรมล่าสุด",
    },
    "days_since_first_order": {"en": "days since the first order", "hi": "पहले ऑर्डर के बाद दिन", "th": "วันนับจากซื้อครั้งแรก"},
    "days_since_last_refund": {
        "en": "days since the last refund",
        "hi": "पिछले रिफ़ंड के बाद दिन",
        "th": "วันนับจากคืนเงินล่าสุด",
    },
    "days_since_last_consideration": {
        "en": "days since they last showed interest",
        "hi": "पिछली बार रुचि दिखाने के बाद दिन",
        "th": "วันนับจากแสดงความสนใจล่าสุด",
    },
    "days_since_last_product_view": {
        "en": "days since the last product viewed",
        "hi": "पिछला उत्पाद देखने के बाद दिन",
        "th": "วันนับจากชมสินค้าล่าสุด",
    },
    "days_since_last_cart": {
        "en": "days since the last product put in the cart",
        "hi": "पिछली बार कार्ट में डालने के बाद दिन",
        "th": "วันนับจากหยิบใส่ตะกร้าล่าสุด",
    },
    "days_since_last_message": {
        "en": "days since our last message",
        "hi": "हमारे पिछले संदेश के बाद दिन",
        "th": "วันนับจากข้อความล่าสุดของเรา",
    },
    "days_since_last_message_click": {
        "en": "days since they last clicked a message",
        "hi": "पिछली बार संदेश पर क्लिक के बाद दिन",
        "th": "วันนับจากกดข้อความล่าสุด",
    },
    "days_since_last_answer": {
        "en": "days since they last answered a question",
        "hi": "पिछले जवाब के बाद दिन",
        "th": "วันนับจากตอบคำถามล่าสุด",
    },
    "refund_rate": {"en": "refunds an order", "hi": "हर ऑर्डर पर रिफ़ंड", "th": "อัตราการคืนเงินต่อคำสั่งซื้อ"},
    "overdue_ratio": {
        "en": "how overdue the next order is",
        "hi": "अगला ऑर्डर कितना बाक़ी है",
        "th": "ช้ากว่ารอบซื้อปกติเพียงใด",
    },
    "revenue_trend": {"en": "trend of what they spend", "hi": "ख़र्च का रुझान", "th": "แนวโน้มยอดซื้อ"},
    "order_trend": {"en": "trend of their orders", "hi": "ऑर्डरों का रुझान", "th": "แนวโน้มคำสั่งซื้อ"},
    "view_trend": {"en": "trend of products viewed", "hi": "देखे उत्पादों का रुझान", "th": "แนวโน้มการชมสินค้า"},
    "cart_rate": {
        "en": "share of viewed products put in the cart",
        "hi": "देखे उत्पादों में से कार्ट में डाले गए",
        "th": "สัดส่วนสินค้าที่ชมแล้วหยิบใส่ตะกร้า",
    },
    "message_click_rate": {
        "en": "share of messages clicked",
        "hi": "संदेशों में से क्लिक किए गए",
        "th": "สัดส่วนข้อความที่กด",
    },
}
_IN_A_WINDOW = {"revenue": {"en": "money spent", "hi": "ख़र्च", "th": "ยอดซื้อ"}}  # where it is not of all days
_WITHIN = {"en": "{what}, last {days} days", "hi": "{what}, पिछले {days} दिन", "th": "{what} ใน {days} วันล่าสุด"}
_TOLD = {  # of a declared trait, by how its feature's name ends
    "": {"en": "what they told us: {what}", "hi": "ग्राहक ने बताया: {what}", "th": "ข้อมูลที่ลูกค้าบอก: {what}"},
    "_age_days": {
        "en": "days since they told us: {what}",
        "hi": "बताने के बाद दिन: {what}",
        "th": "วันนับจากที่ลูกค้าบอก: {what}",
    },
    "_strength": {
        "en": "how fresh what they told us is: {what}",
        "hi": "बताई बात कितनी ताज़ा है: {what}",
        "th": "ข้อมูลที่ลูกค้าบอกยังใหม่เพียงใด: {what}",
    },
    "_years": {"en": "years since: {what}", "hi": "कितने साल हुए: {what}", "th": "จำนวนปีนับจาก: {what}"},
    "_days_to_anniversary": {
        "en": "days to the anniversary of: {what}",
        "hi": "सालगिरह में बचे दिन: {what}",
        "th": "วันก่อนครบรอบ: {what}",
    },
}


def said_of(feature: str, *, language: str, brand: Brand) -> str:
    """A feature's name as a marketer would say it; one of the brand's own SQL by its own name, in words.

    Args:
        feature: such as `n_orders_90d` or `trait_skin_need_age_days`.
        language: en, hi or th.
        brand: whose traits have labels.
    """
    if (known := MEASURES.get(feature) or _OTHERS.get(feature)) is not None:
        return known[language]
    if feature.startswith("trait_"):
        return _said_of_trait(feature.removeprefix("trait_"), language=language, brand=brand)
    if within := re.fullmatch(r"(.+)_(\d+)d", feature):
        known = _IN_A_WINDOW.get(within[1]) or MEASURES.get(within[1]) or _OTHERS.get(within[1])
        if known is not None:
            return _WITHIN[language].format(what=known[language], days=within[2])
    return feature.removeprefix("n_").replace("_", " ")


def _said_of_trait(name: str, *, language: str, brand: Brand) -> str:
    for ending, words in sorted(_TOLD.items(), key=lambda pair: -len(pair[0])):
        trait = name.removesuffix(ending)
        if name.endswith(ending) and trait in brand.traits:
            return words[language].format(what=trait.replace("_", " "))
    for trait, told in brand.traits.items():
        choice = name.removeprefix(f"{trait}_")
        if name.startswith(f"{trait}_") and choice in told.choices:
            label = _in_language(told.labels.get(choice, {}), language) or choice.replace("_", " ")
            return _TOLD[""][language].format(what=f"{trait.replace('_', ' ')}, {label}")
    return name.replace("_", " ")


def _in_language(texts: dict[str, str], language: str) -> str | None:
    """The text of a locale of that language, where there is one."""
    return next((text for locale, text in texts.items() if locale.split("-")[0] == language), None)
