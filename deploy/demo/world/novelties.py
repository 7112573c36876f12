# ruff: noqa: E501  (a line is a sentence)
"""The change: Tilden sells solar power now, checks identities, raises prices and calls chargers back."""

from __future__ import annotations

from deploy.demo.world.intents import STAYING, intent

ARRIVING = (
    intent(
        "book installation",
        """
        I [bought|ordered] [your|the] [solar panels|home battery|wallbox] and [nobody has|no one has] [called|been in touch] about the fitting.
        We signed for [the solar panels|the rooftop kit] {ago} and still have no date for the [fitters|installers].
        The [installer|fitting crew|electrician] [cancelled|didn't show up] [on {day}|{ago}], so I need another [slot|date].
        The booking page [shows no|has no] free [dates|slots] for [an installer|the installation] in {city}.
        I have to [move|postpone] [the|our] installation [of the home battery|of the panels|] from {day}.
        Our [roof|scaffolding] is ready, [now|so] the [crew|installers] can come and put up the panels.
        The [fitters|installers] are [booked|due] for {day}, but I'll be [away|at work].
        """,
        """
        When can someone [come|come round] to [install|fit|mount] [the solar panels|our home battery|the wallbox]?
        How do I [book|arrange] an [appointment|installer|installation date] for the [solar panels|rooftop kit|home battery]?
        [Can|Could] the [installers|fitters] come on a [weekend|{day}|{day} morning]?
        How long does [fitting|installing|mounting] the [panels|home battery|wallbox] take?
        I'd like to [schedule|book] the installation [in {month}|for {month}|as soon as possible].
        Do [your installers|your fitters|you] also [work|come] [in {city}|on flat roofs|out to {city}]?
        May I use [my own|a local] electrician to [install|fit] the [wallbox|panels|home battery]?
        What do I have to prepare [before|for the day] the installers come?
        """,
    ),
    intent(
        "low solar output",
        """
        My [solar panels|panels] [produce|make|deliver] [far |much |]less [power|electricity] than [you promised|expected|last month].
        [On a sunny day|At noon] [we only get|the panels give] [300|450|800] watts from [eight|ten|twelve] panels.
        One [row|string] of panels [shows|delivers] nothing [at all|even at noon|since {day}].
        Our [yield|production|solar output] [fell|dropped|has halved] since [{day}|the storm|they cleaned the roof].
        The [panels|roof] made only [two|three|four] kilowatt hours [on {day}|yesterday] in [full|bright] sun.
        The neighbours have the same [roof|panels] and [make|get] twice as much [solar power|electricity].
        The inverter [shows|reports] [zero|hardly any] production although the [sun is shining|sky is clear].
        The [graph|chart] in the app shows [holes|gaps|dips] in the solar production [every afternoon|at noon].
        """,
        """
        Why [do|are] my panels [make|producing] so little [power|electricity]?
        How much [should|can] [ten|twelve|eight] panels [yield|produce] in {month}?
        [Can|Could] you check why [our|my] solar [output|yield|production] is so low?
        Do [leaves|dust and leaves|trees in the neighbour's garden] [cut|lower] the solar output that much?
        How do I find out which panel [is not working|produces nothing]?
        Is [it normal|it right] that [production|the yield] drops to [300|450|600] watts in [full|bright] sun?
        Do the panels need [cleaning|washing] when the [yield|output] [falls|goes down]?
        What could [bring|push] the [output|yield] of my panels [down by half|so far down]?
        """,
    ),
    intent(
        "price increase",
        """
        You [wrote|announced|told me] that [the price goes up|my fee rises] to {amount} [from {month}|next month].
        [Suddenly|All of a sudden] the [monthly fee|plan] costs {amount} instead of {lower}.
        I got [a letter|an email] about [higher|new] prices and [don't understand|disagree with] it.
        I was [guaranteed|promised] {lower} a month [for two years|as a long-time customer], and now it's {amount}.
        [Another|A] price [rise|hike], the [second|third] [this year|in a row]!
        The new [price list|tariff] makes [us|me] pay [20|25|30] percent more for the same [service|thing].
        I do not [accept|agree to] the [new|higher] [price|fee] from {month}.
        My [fee|monthly price] went up [without|and I had no] warning.
        """,
        """
        Why is [the price|the fee|my monthly fee] going up [from {month}|again|]?
        Why are your prices [rising|higher] [again|from {month}|this year]?
        From when do I [have to |]pay the [new|higher] [price|fee|rate]?
        Can I keep [the|my] old [price|rate|fee] of {lower}?
        What do I get for the [higher|increased] [price|fee]?
        Does the [price increase|new price list|price rise] [apply|also apply] to [existing customers|yearly payers|me]?
        How much [more will I|will I have to] pay [after|once] the [increase|price rise]?
        How can I [object|say no] to the [price increase|higher fee|new prices]?
        Why [wasn't I|was I not] [told|informed] about the [price rise|higher price] [earlier|in time]?
        """,
    ),
    intent(
        "charger recall",
        """
        I [read|heard|saw] [on the news|in the paper|online] that [the {recalled} is|the chargers are] being [recalled|called back].
        I got [a letter|a warning|an email] [to stop using|not to use] [my|the] {recalled} because of [a fire risk|overheating].
        My {recalled} has a serial number [starting with|from] [TC4|TC5|K7], so it [must be|might be] one of the [recalled|dangerous] ones.
        My {recalled} [gets hot|smells burnt|melted a little], [just like|as] the safety notice [says|describes].
        I [registered|signed up] my {recalled} for the recall {ago} and the [replacement|new one] hasn't come.
        The recall [page|form] [doesn't accept|rejects] the serial number of my {recalled}.
        I [sent in|handed over] my [recalled|unsafe] charger and [got nothing back|am still waiting for the new one].
        """,
        """
        Is my {recalled} [part of|affected by|included in] the [recall|safety recall]?
        How do I [check|find out] [if|whether] my {recalled} is one of the [recalled|faulty] ones?
        When [do I get|will you send] the [replacement|safe one|new one] for my recalled {recalled}?
        Where do I [send|bring|hand in] the recalled [charger|{recalled}]?
        Can I [keep|go on] using the {recalled} [until the replacement comes|despite the recall|despite the safety notice]?
        Do I get [money|a refund] [back|instead of a new one] for the [recalled charger|recalled {recalled}]?
        Which serial numbers are [in|part of] the [recall|charger recall]?
        How do I [register|sign up] [for the recall|my {recalled} for the recall]?
        """,
    ),
    intent(
        "verify identity",
        """
        [You|The app] [ask|asks] me to [prove|confirm] who I am, and my [passport|ID card|driving licence] [isn't accepted|gets rejected].
        The [identity|ID] check [fails|stops|ends with an error] when I [take the selfie|hold up my passport|scan my ID].
        I [uploaded|sent] [a photo of my ID|my passport] {ago} and [it's still|the check is still] pending.
        [My account|My access] is [restricted|on hold] until [the identity check|my ID] is [done|approved].
        [My name changed|I got married], so my [passport|ID] and my account [don't match|have different names] [for the identity check|in the ID check].
        The camera [can't read|won't focus on] [my|the] [ID card|passport] during the [check|verification].
        I [don't like|feel uneasy about] sending [a copy of my passport|my ID] [over the internet|to a company].
        The [selfie|face scan] [doesn't match|is never good enough], [it says|says the check].
        """,
        """
        Why do I have to [verify|prove|confirm] my identity [now|all of a sudden|after all these years]?
        Which documents [do you accept|can I use|count] for the [identity|ID] check?
        How long does the [identity check|ID verification|check of my passport] take?
        [Can|Could] I [verify|confirm] my identity [without a passport|by post|with a driving licence]?
        What happens [if|when] I don't [do|complete] the identity [check|verification]?
        Who [sees|gets to see|keeps] the photo of my [ID|passport]?
        How do I [repeat|restart] the [ID|identity] [check|verification]?
        Is [the|this] [mail|message] asking for [a copy of my ID|my passport] really from you?
        """,
    ),
    intent(
        "trade in device",
        """
        I [have|own] an old {device} and [want|would like] to trade it in [for a new one|].
        The trade-in [offer|estimate] for my {device} was {amount}, [now|but] I'm [only offered|credited] {lower}.
        I [sent|posted] my old {device} for trade-in {ago} and [still have no credit|the credit hasn't come].
        My old {device} has [a scratch|a crack|a broken button], [I'd still like|but I want] to trade it in.
        The trade-in page [doesn't list|can't find] my {device}.
        We're [replacing|upgrading] [three|four|all] our old [cameras|sensors|devices] and [heard|read] you [take|buy] the old ones [back|in].
        The trade-in kit for my old {device} [never came|hasn't arrived].
        """,
        """
        How [do I start a trade-in|does trading in work] [for a {device}|with an old {device}]?
        How much [do I get for|would you give me for] my old {device} [as a trade-in|in the trade-in programme]?
        Can I trade in a {device} [that's broken|with a cracked case|I bought used]?
        Do you [take|accept] [old|used] {device}s [in part exchange|as trade-in] [when I buy a new one|]?
        When do I get the trade-in credit [for my old {device}|]?
        May I trade in [two|several] [old devices|{device}s] for one new one?
        What [must|should] I [erase|do with my old {device}] before [trading it in|I trade it in]?
        Is the trade-in value [paid out|given] as [money|credit|a voucher]?
        """,
    ),
    intent(
        "sell power back",
        """
        Our [panels|roof] [make|makes] more [power|electricity] than we use and I want to [sell|feed in] the rest.
        I [haven't been|wasn't] [paid|credited] for the [electricity|power|kilowatt hours] I [fed into|sent to] the grid in {month}.
        The [feed-in|export] meter [counts|shows] [nothing|too little] although we [export|send power out] [all day|every day].
        My [grid operator|network company] wants a [form|certificate] before I [may|can] [feed in|export] [power|electricity].
        You pay me [six|seven|eight] cents for [exported|surplus] power and [a friend|my neighbour] gets [ten|eleven|twelve].
        The [feed-in|export] contract [arrived|came] with the wrong [meter number|bank details|address].
        We [exported|fed in] [200|310|480] kilowatt hours in {month}, [my statement|the credit] says [half|less].
        """,
        """
        How do I [sell|feed] [my surplus|our extra] [solar power|electricity] [back|to the grid|into the grid]?
        What do you pay [for a|per] kilowatt hour [that I feed in|I export|of surplus power]?
        When do I get the money for [exported electricity|the power I fed in] [in {month}|]?
        Do I need [a new meter|a permit|a contract] to [sell|export|feed in] [power|electricity]?
        Can you [explain|go through] the [feed-in|export] [payment|credit|statement] [for {month}|on my bill]?
        How do I [sign|get|change] a [feed-in|export] [contract|agreement|tariff]?
        Can the home battery [sell|export] its [power|charge] [to the grid|] [when prices are high|in the evening]?
        Do I pay tax on [the electricity I sell|power I feed in|feed-in money]?
        """,
    ),
)

REWORDED = {
    "reset password": intent(
        "reset password",
        """
        My [passkey|passphrase] [is gone|stopped working] since I [got|set up] [a new phone|a new laptop].
        The [new sign-in page|web portal] [rejects|won't take] my [passphrase|old password] and I [can't recall another|have no other].
        I never [set|chose] a [passphrase|passkey] and [now|suddenly] the portal wants one [to let me in|].
        The recovery code for my [passphrase|passkey] [doesn't work|is nowhere to be found].
        Since the new portal [I'm locked out|I can't sign in], my password is [refused|not known].
        """,
        """
        How [do|can] I [recover|replace|reset] a [lost|forgotten] [passphrase|passkey]?
        Please send [a|another] recovery code so I can [choose|set] a new [passphrase|password].
        Can I go back to [a password|my old password] instead of [the|a] passkey?
        How do I [reset|set] my [passphrase|passkey] in the new [portal|sign-in page]?
        What if I [lose|forgot] the passphrase for [my account|the portal]?
        """,
    ),
    "track order": intent(
        "track order",
        """
        The [pallet|shipment] with our [panels|home battery] [left the depot|was dispatched] {ago} and [nobody knows where it is|hasn't come].
        The parcel locker [says|claims] [it's empty|no parcel for me] though my {device} [was delivered there|should be inside].
        My [shipment|freight delivery] [has been|is] [stuck in customs|held at the hub in {city}] [for {days}|since {day}].
        The [lorry|freight company] with the [panels|battery] was [meant|supposed] to come [on {day}|{ago}].
        The live map [shows|has shown] the [driver|van] with my [order|parcel] in the same [street|place] [since {day}|all day].
        """,
        """
        Where is the [pallet|shipment|lorry] with [our panels|my home battery] [now|right now]?
        On which day [does|will] the freight company [deliver|bring] [order #{order}|our panels]?
        Which parcel locker is my [order|{device}] in?
        Can I follow [the shipment|order #{order}|the freight delivery] on [the live map|a map]?
        Has [the pallet|our shipment] [cleared customs|left the hub] [yet|]?
        """,
    ),
    "connect wifi": intent(
        "connect wifi",
        """
        The [inverter|wallbox|home battery] [won't|doesn't] [join|connect to] our [wifi|mesh network].
        The [wallbox|inverter] in the [garage|cellar|carport] [has no|keeps losing] wifi [reception|signal].
        Since [we installed|we have] a mesh [network|system] the [inverter|{device}] [hops|drops] offline.
        The [home battery|inverter] [shows|says] "no wifi" although [the mesh box|a repeater] [is next to it|hangs beside it].
        Our provider [swapped|changed] the [router|fibre box] and the [wallbox|inverter] [isn't online|lost the wifi] any more.
        """,
        """
        How do I [connect|bring] the [wallbox|inverter|home battery] to [our wifi|the mesh network]?
        Can the [inverter|wallbox] use [a network cable|a repeater] instead of [weak|] wifi?
        Does the [home battery|inverter|wallbox] [support|work with] [wifi 7|mesh wifi|a 6 GHz network]?
        How do I get the [inverter|wallbox] back online [after|since] the [router|fibre box] [change|was changed]?
        What can I do when the [wallbox|inverter] [loses|drops] the wifi [at night|every evening]?
        """,
    ),
    "app crash": intent(
        "app crash",
        """
        The new [app|Tilden 5 app] [crashes|freezes] [as soon as|whenever] I open the energy [page|view|screen].
        Since [version 5|the redesign] the app [shuts down|quits|closes] [by itself|on my {phone}|every few minutes].
        The energy [widget|dashboard] makes [my|the] app [crash|hang] [on my {phone}|every time].
        Version 5 [only shows|gets stuck on] [a spinning circle|the splash screen] and then [closes|quits].
        The redesigned app [freezes|dies] when I [rotate|lock] my [phone|{phone}].
        """,
        """
        Why does [version 5|the new app] [crash|quit|freeze] [on my {phone}|when I open the energy page]?
        Can I go back to version 4 of the app until [5|the new one] stops [crashing|freezing]?
        When [is there|do you release] a fix for the crashes in [version 5|the redesigned app]?
        How do I [stop|keep] the energy [widget|page] from [crashing|freezing] the app?
        Is [version 5|the redesign] known to [crash|hang] on [{phone}|tablets]?
        """,
    ),
}

STILL = tuple(REWORDED.get(one.label, one) for one in STAYING)
