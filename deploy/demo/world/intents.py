# ruff: noqa: E501  (a line is a sentence)
"""The subjects that the customers of Tilden, a maker of smart home devices, write about.

A line is a sentence. `[a|b]` is a choice, `{device}` and the like are filled in by `deploy.demo.world.grammar`.
`problems` describe a problem, `asks` a wish; either alone shows which intent it is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Intent:
    """One reason to write, in many wordings."""

    label: str
    problems: tuple[str, ...]
    asks: tuple[str, ...]


def intent(label: str, problems: str, asks: str) -> Intent:
    """Return an intent made from two lists of lines."""
    return Intent(label, _lines(problems), _lines(asks))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


STAYING = (
    intent(
        "reset password",
        """
        I [can't|cannot] [log in|sign in|get into my account] because I [forgot|no longer know|have lost] my password.
        It keeps [telling me|saying] my password is [wrong|incorrect|invalid], and I [honestly |]don't remember it.
        The [reset|password] link [you sent me|in the email] [has expired|does nothing|opens a blank page].
        I [changed|switched] phones and [my password isn't saved|the password is gone] [anymore|on the new one].
        I've tried [every password I can think of|all my usual passwords] and [none works|now I'm locked out].
        [My account is locked|I got locked out] after [three|five|too many] wrong [passwords|login attempts].
        The [mail|email] to [choose|set] a new password [never arrives|isn't in my inbox|doesn't come].
        My [wife|husband|son|flatmate] changed [the|our] login and nobody remembers the password [now|any more].
        I [mistyped|set] my new password [on {day}|last night] and now [it isn't accepted|I can't log in].
        """,
        """
        How [do|can] I [reset|change|recover] my password?
        [Can|Could] you send me a [new|fresh] [link|email] to [reset|change] [my|the] password?
        I need [to set a new password|a new password] [for my account|for {email}|today].
        [Where|In which menu] can I [choose|set up] a different password?
        Please [unlock|reopen] my [login|sign-in] so I can [pick|choose] a new password.
        What [should I|do I] do when I've forgotten [both my password and my hint|my password]?
        Is there a way to log in without the [old|forgotten] password?
        [Please reset|Reset] my login [password|details] for {email}.
        """,
    ),
    intent(
        "track order",
        """
        My [order|parcel|package|delivery] [#{order} |][still |]hasn't [arrived|turned up|come].
        I ordered [a|the] {device} [on {day}|{ago}] and [I've heard nothing since|it's still not here].
        The tracking [page|link] [hasn't moved|hasn't changed|says "in transit"] [since {day}|for {days}].
        [According to the courier|The tracking says] my [parcel|package] was delivered, but [there's nothing here|I never got it].
        My {device} was [supposed|meant] to be here [by {day}|{ago}].
        I [stayed home|waited in] all {day} for the [courier|delivery] and [nobody|no one] came.
        The [tracking number|number] for [order #{order}|my delivery] [isn't recognised|shows nothing].
        You said [two|three|five] days for [delivery|shipping] and it's been [{days}|more than a week].
        The van [drove past|skipped] our [street|house] and the parcel [went back to|is stuck at] the depot.
        """,
        """
        Where is my [order|parcel|package] [#{order}|right now|at the moment]?
        When will my {device} [arrive|be delivered|get here]?
        Can you [tell me|check] [where|how far along] my [delivery|order #{order}] is?
        Has [order #{order}|my order] [shipped|left the warehouse] [yet|already]?
        [What's|What is] the [delivery status|status] of [order #{order}|the {device} I ordered {ago}]?
        [Could|Can] I have [the|a] tracking number for [my parcel|order #{order}]?
        Which courier has my [parcel|package], and [when are they coming|what day will it come]?
        Is my [order|parcel] still [coming|going to arrive] [this week|before {day}]?
        """,
    ),
    intent(
        "return item",
        """
        The {device} [isn't|is not] [what I expected|right for our house], so I [want|would like] to send it back.
        I [bought|ordered] the wrong {device} [by mistake|by accident|for our flat] and want to return it.
        I've changed my mind about the {device} I [bought|got] {ago}.
        I [got|was given] a second {device} as a [present|gift] and only need to keep one.
        The {device} [doesn't fit|is too big for] our [door|wall|hallway], it has to go back.
        I'm [not happy|disappointed] with the {device} and want my money back for it.
        I have [packed up|boxed up] the {device} [and am ready to send it back|to return it to you].
        The [colour|size] of the {device} is wrong for us, we [won't|don't want to] keep it.
        It is still [sealed|unopened] and I don't need the {device} [any more|after all].
        """,
        """
        How do I [return|send back] [a|my|the] {device}?
        [Can|May] I [return|send back] the {device} [without the box|after {days}|if it's been opened]?
        I need a [return label|returns label|prepaid label] for [a {device}|order #{order}].
        How [long|many days] do I have to [return|send back] [something|a {device}]?
        [What's|What is] your return [address|policy] for [a {device}|unused items]?
        Please [arrange|organise] a [pickup|collection] so the {device} can go back to you.
        When do I get my [money back|refund] for the {device} I [returned|sent back] [{ago}|on {day}]?
        Can I [swap|exchange] the {device} for [a different one|another model]?
        """,
    ),
    intent(
        "update card",
        """
        My [credit|bank|debit] card [expires|runs out] [this month|next month|in {month}] and [I have a new one|a new one is here].
        [My bank|The bank] [sent me|gave me] a new [card|card number], so the old one [in my account|you have] is out of date.
        I [lost|had to block] my card, the number you have [on file|stored] is no longer valid.
        My payment [was declined|bounced] because [the card you have is old|my card on file has expired].
        The page won't [accept|save] [my|the] new [credit card|card details|expiry date].
        I [changed|switched] banks [{ago}|in {month}], so payments should come from my new card.
        The app [still shows|only shows] my old card ending in {digits}.
        I get a [reminder|mail] every [day|week] that my card has expired.
        """,
        """
        How [do|can] I [change|update|replace] the [card|credit card] [on my account|you charge]?
        Where [do|can] I [enter|put in|add] my new card [number|details]?
        [Can|Could] I [pay with|switch to] [a different|another] card [from now on|from {month}]?
        Please [replace|remove] the card ending in {digits} [with my new one|and use the new one].
        I [want|need|would like] to [change|update] my [payment method|card details|billing card].
        Can I [store|keep] two cards [in|on] my account and [choose|pick] which one [pays|is used]?
        How do I make my new card the [default|main one]?
        What do I do [now that|when] my card [has expired|has a new number]?
        """,
    ),
    intent(
        "connect wifi",
        """
        My {device} [won't|doesn't|refuses to] [connect to|join] [the|our|my] wifi.
        The {device} keeps [losing|dropping] the [wifi|wireless] [connection|signal] [every evening|several times a day|].
        Since we got a new router the {device} [can't find|doesn't see|won't join] the network.
        The {device} says ["no network"|"offline"|"connection failed"] although the internet works [everywhere else|on my laptop].
        I [changed|renamed] our wifi [{ago}|on {day}] and [now|since then] the {device} is offline.
        Setup [stops|hangs|gets stuck] at ["joining network"|the wifi step] [for my {device}|every time].
        The light on the {device} blinks [orange|red|blue], which [means|seems to mean] it has no wifi.
        The {device} [in the garage|upstairs|in the garden] [has|gets] no signal from the router.
        My {device} only [sees|finds] the [neighbour's|guest] network and not [mine|ours].
        """,
        """
        How do I [connect|hook up] [my|the] {device} to [the wifi|our new router|a different network]?
        How can I get the {device} back [online|on the wifi]?
        [Does|Will] the {device} work [with 5 GHz wifi|on a guest network|with a hidden network]?
        What can I do [when|if] the {device} [loses|drops] its wifi [connection|signal]?
        Can you help me [get|bring] my {device} onto [the|our] [wireless network|wifi]?
        How do I tell the {device} [the new wifi name|which network to use|our new router's key]?
        Which [router settings|wifi channel] do I need for the {device}?
        How far [may|can] the {device} be from the router [to stay connected|before it goes offline]?
        """,
    ),
    intent(
        "app crash",
        """
        The [app|Tilden app] [crashes|closes|quits] [as soon as|every time|whenever] I open it.
        [Since|After] the [last|latest] update the app [freezes|crashes|shuts down] [on start|within seconds|all the time].
        The app [goes black|hangs|freezes] when I [open the settings|tap on the {device}|look at the recordings].
        On my [Pixel|iPhone|Galaxy|tablet] the app [just closes|crashes] [after the logo|right away|again and again].
        I get "Tilden has stopped" [every time I open the app|several times a day|on my {phone}].
        I [reinstalled|deleted and reinstalled] the app [twice|three times] and it [still crashes|keeps closing|keeps crashing] on me.
        The app [opens|starts], shows a white screen and then [it's gone|shuts itself down].
        The screen [freezes|locks up] as soon as I [swipe|scroll] [in the app|to the {device}].
        My [phone|{phone}] restarts when I [open|start] [your|the Tilden] app.
        """,
        """
        [Why does|What makes] [the|your] app [crash|close] [all the time|on my {phone}|when I open it]?
        How do I [stop|keep] the app from [crashing|freezing|closing]?
        When [will|do] you fix the [app|crash] on [Android|iOS|my {phone}]?
        Is there [an update|a fix|an older version] for the [crashing|freezing] app?
        [Can|Could] you look into the app [crashes|crashing] on my {phone}?
        Do you need [a log|my crash report|the error report] [from|of] the app?
        What can I do [if|when] the app [won't open|won't start|hangs on the logo]?
        Is it [known|a known issue] that [your|the] app [crashes|freezes] on [{phone}|tablets]?
        """,
    ),
    intent(
        "get invoice",
        """
        I [never got|didn't receive|can't find] [an|the] invoice for [order #{order}|my {device}|my purchase].
        My [accountant|employer|tax office] [needs|asks for] an invoice [for|about] the {device}.
        The invoice [in my inbox|you sent] [has|shows] the wrong [company name|VAT number|name].
        The [invoice PDF|PDF of my invoice] [won't open|is empty|is damaged].
        I bought the {device} for [work|our office] and [have to|need to] [hand in|file] a proper [bill|invoice].
        There was no [receipt|bill|invoice] in the [box|parcel|email] with my {device}.
        I'm doing my [taxes|expenses] and [the bill|the invoice] from {month} is missing.
        My insurance wants [proof of purchase|the original receipt] for the {device}.
        """,
        """
        [Can|Could] you [send|email] me [the|an] invoice for [order #{order}|the {device}|{month}]?
        Where [can|do] I [download|find] my [invoices|receipts|bills]?
        I need [a receipt|an invoice|a copy of the bill] [for my taxes|with our VAT number|for order #{order}].
        Please [put|write] our company name [on|onto] the invoice [for order #{order}|].
        Can I get [all|the] invoices [for|from] [this year|last year|{month}] as PDF?
        How do I get a [receipt|VAT invoice|copy of my receipt] [for a {device}|for something I bought in {month}]?
        [Please|Could you] [resend|send me again] the [bill|invoice|receipt] [from {month}|for my {device}]?
        Can the invoices go to [our bookkeeping|{email}|a different email] [from now on|in future]?
        """,
    ),
)

LEAVING = (
    intent(
        "cancel subscription",
        """
        I [don't use|hardly use|no longer need] [the|my] [Plus plan|subscription|monthly plan] and want to [stop|end] it.
        I [tried|have been trying] to cancel [the|my] plan but [there's no button|the page won't let me].
        My [trial|free month] [ends|is over] [on {day}|soon] and I don't want to [continue|go on with the subscription].
        The subscription [renewed|went on] although I [cancelled|had cancelled] it [{ago}|in {month}].
        We're [moving|selling the house], so [we won't need|I have no use for] the [Plus plan|subscription] any longer.
        The [Plus plan|subscription] isn't worth it [for us|to me] [any more|], I'd like to quit.
        I signed up for [the Plus plan|the subscription] by [mistake|accident] and want out.
        """,
        """
        How do I [cancel|end|stop] my [subscription|Plus plan|membership]?
        Please [cancel|end|terminate] my [subscription|plan] [from next month|at the end of {month}|right away].
        [Can|May] I cancel [my plan|the subscription] [before the year is over|at any time|by email]?
        What is the notice period [for|of] the [Plus plan|subscription]?
        I [want|would like] to [stop|quit|end] the [monthly subscription|Plus plan] [before it renews|today].
        What happens to my recordings [if|when] I [cancel|stop] the [plan|subscription]?
        Will you confirm [the cancellation|that my plan is cancelled]?
        Can I [pause|suspend] my subscription [until {month}|for a few months] or do I have to cancel?
        """,
    ),
    intent(
        "charged twice",
        """
        I was [charged|billed] twice for [the same|one] [order|month|{device}].
        There are two [payments|charges] of {amount} on my [statement|account] [for {month}|from {day}].
        You [took|withdrew] {amount} [two times|twice] [on {day}|this month].
        My [bank statement|card] shows the [same|identical] payment to Tilden [twice|two times].
        I only bought one {device} but [paid|was billed] for two.
        The [payment|checkout] [failed once|hung], I tried again and now both [payments went through|amounts are gone].
        You've [debited|collected] the fee for {month} a second time.
        [Two|Both] times {amount} [left|was taken from] my account for [order #{order}|a single order].
        """,
        """
        Why [did you charge|have you charged|was I charged] me twice [for order #{order}|in {month}|]?
        Please [refund|pay back] the [second|duplicate|extra] [charge|payment] of {amount}.
        Can you [check|look into] the double [charge|payment|billing] on my [account|card]?
        When will I get [the duplicate|the second] payment back?
        How could {amount} be [taken|collected] two times?
        I want the [duplicate|double] [charge|payment] [reversed|refunded|back on my card].
        Who do I talk to about [a double charge|being billed twice|a duplicate payment]?
        """,
    ),
    intent(
        "battery drain",
        """
        The battery of my {gadget} [only lasts|is empty after] [a day|{days}|a few hours].
        My {gadget} [eats|goes through|uses up] batteries [like crazy|much too fast].
        I [charge|have to charge] the {gadget} [every night|every other day], it used to last [weeks|months].
        The {gadget} [drops|went] from full to [20|15|10] percent [overnight|within hours].
        Since [it got cold|the update|{day}] the [battery|charge] of the {gadget} [drains|runs down] [really fast|in no time].
        The {gadget} [warns|complains] about low battery [again|] although I [changed|charged] it [{ago}|on {day}].
        The {gadget} [dies|switches off] [every night|before the evening] because the battery is [flat|empty].
        New batteries in the {gadget} are [dead|flat] after {days}.
        """,
        """
        How long should [the|a] battery [of|in] the {gadget} last?
        Why does my {gadget} [drain|use up|go through] [its battery|batteries] so [quickly|fast]?
        [How can I|Can I somehow] make the battery of the {gadget} last longer?
        Which settings [save|spare] battery on [the|my] {gadget}?
        [Can|Could] I get a [new|replacement|stronger] battery for my {gadget}?
        Is it normal that the {gadget} [is flat|needs charging] after {days}?
        What can I do about the [poor|short|bad] battery life of my {gadget}?
        Which [type of batteries|batteries] [hold|last] longest in the {gadget}?
        """,
    ),
    intent(
        "missing part",
        """
        The [screws|mounting screws|wall plugs] [are|were] missing from the box of my {device}.
        My {device} came without [the|its] [power adapter|cable|wall bracket|mounting plate].
        There [is|was] no [{part}|manual] in the [box|package] with my {device}.
        I [unpacked|opened] the {device} and [couldn't find|there wasn't] the {part} that should be [included|in there].
        The set should have [three|four|two] sensors, [only one|one fewer] was in the [box|package].
        The [box|parcel] was [half empty|incomplete]: no {part} for the {device}.
        According to the [manual|list] there should be a {part}, [mine has none|but I didn't get one].
        You forgot [to pack|to include] the {part} [with my {device}|in order #{order}].
        """,
        """
        [Can|Could] you send me the [missing|forgotten] {part} for my {device}?
        What [should|is supposed to] be in the box [of the|with a] {device}? A {part} [is missing|isn't there].
        How do I get the {part} that [wasn't in the box|was left out]?
        Please [post|ship|mail] the missing {part} [for order #{order}|to my address].
        Where can I order [just|only] the {part} [that was missing|which wasn't included]?
        Is [the|a] {part} [really |]meant to be [included|in the package] with the {device}? [Mine had none|I got none].
        Do I have to send everything back because the {part} [wasn't there|is missing]?
        """,
    ),
    intent(
        "share access",
        """
        My [wife|husband|partner|daughter|flatmate] [can't see|has no access to] [our|the] {device} [in the app|on her phone].
        I [invited|tried to invite] my [brother|mother|partner] to our home but the invitation [never came|didn't work].
        Our [cleaner|dog sitter|neighbour|guest] needs to [use|open] the {device} [while we're away|on {day}s].
        My [son|daughter|flatmate] [got|has] a phone and should be able to [control|use] the {device} too.
        I'm the only one [in the family|at home] who can [operate|control] the {device}.
        My [ex|former flatmate|old tenant] [can still see|still has access to] our {device}.
        We [rent out|let] a room and [guests|tenants] should get [limited|temporary] access to the {device}.
        """,
        """
        How do I [add|invite] my [wife|husband|partner|flatmate] to [our home|my account|the {device}]?
        [Can|Could] two people use the {device} [with their own phones|from separate phones]?
        How can I [give|grant] [my neighbour|our cleaner|a guest] access to the {device} [for a week|for one day|]?
        Can I share the {device} with [my family|my parents|someone else] without giving [them my login|away my login]?
        How do I [remove|take away] [somebody's|my ex's|a guest's] access to [our home|the {device}]?
        How many [people|family members] can [use|share] [one home|the {device}]?
        I want my [mother|kids|partner] to be able to [see|control] the {device} as well, how?
        Can I [decide|limit] what [guests|the kids|family members] may do with the {device}?
        """,
    ),
    intent(
        "delete account",
        """
        I [don't want|no longer wish] to have [an account|a profile] with you [any more|].
        I [sold|gave away] all my devices and [want|would like] my account [deleted|removed|gone].
        I [asked|wrote] [{ago}|in {month}] to have my account [deleted|erased] and it's still there.
        I want everything you [store|know] about me to be [erased|deleted], including the account.
        I [made|opened|created] a second account by [accident|mistake], it should be [removed|deleted].
        My [father|mother|grandmother] passed away and [her|the] account should be [closed|deleted].
        The button to delete my [profile|account] [doesn't work|is greyed out|gives an error].
        """,
        """
        How [do|can] I [delete|close|remove] my account?
        Please [delete|erase|remove] my [account|profile] and [all my data|everything in it].
        [Can|Could] you [permanently |completely |]delete the account of {email}?
        I [want|demand|request] that you erase my personal data and [close|delete] my account.
        What happens to my [videos|data] once I delete my [account|profile]?
        How long does it take [until|before] my account is [really|completely] [gone|deleted]?
        Where is the [button|option|setting] to [delete|close] my [account|profile]?
        Can a deleted account be [brought back|restored], or is it gone for good?
        """,
    ),
    intent(
        "apply discount",
        """
        My [discount|voucher|promo|coupon] code {code} [doesn't work|isn't accepted|is rejected] [at checkout|].
        I [forgot|didn't manage] to enter my [voucher|discount code|coupon] when I [ordered|bought] the {device}.
        The [cart|checkout] says [code {code} is invalid|my voucher has expired] though it's valid [until {month}|this week].
        I was promised [10|15|20] percent off [in the newsletter|by email] but [the price stayed the same|nothing was deducted].
        The [student|welcome|newsletter] discount [doesn't show|isn't taken off] in my cart.
        There's [no field|nowhere] to type [in |]my [voucher|promo code|coupon].
        I got a [gift card|voucher] for [my birthday|Christmas] and [can't redeem it|the shop rejects it].
        """,
        """
        How do I [use|redeem|apply] [my|a] [discount code|voucher|gift card|promo code]?
        Where [do I enter|can I type in] the [code|coupon] {code}?
        Can I [still |]get the discount [on|for] order #{order} [afterwards|even though I've paid]?
        Can I [combine|use] two [vouchers|codes|coupons] [in|on] one order?
        Do you [have|offer] a discount for [students|teachers|two {device}s]?
        Why [isn't|wasn't] the [voucher|discount|promo code] [taken off|deducted from] [the price|my order]?
        Until when is [code {code}|my voucher|the promotion] valid?
        Can you [apply|add] the [10|15|20] percent [code|voucher] to my order for me?
        """,
    ),
)
